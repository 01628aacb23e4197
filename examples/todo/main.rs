//! A daemon with one application of its own, walked through in `docs/ADDING-AN-APPLICATION.md`. `cargo run --example todo` serves it
//! on `http://127.0.0.1:3000/todo/`.

mod todo;

use std::process::ExitCode;

use siod::app::table::Table;

static TABLE: Table = Table { rows: &[todo::ROW], paths: &[], fixture: &todo::ROW };

fn main() -> ExitCode {
    siod::run(&TABLE)
}
