//! Layer 5½: the applications, one folder each. Nothing outside this folder names one of them.

pub mod lab;
pub mod signage;
