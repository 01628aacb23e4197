//! Layer 5½: the applications, one folder each. Nothing outside this folder names one of them: everybody else has them from
//! [`TABLE`].

pub mod iot;
pub mod lab;
pub mod signage;
pub mod utalk;

use crate::app::table::Table;

/// The applications of siod: a line each.
pub static TABLE: Table = Table {
    rows: &[iot::ROW, lab::ROW, signage::ROW, utalk::ROW],
    // Its clients have this path by heart.
    paths: &[("/api/socket", "iot")],
    fixture: &lab::ROW,
};
