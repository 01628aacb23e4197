//! The bench `idle`, compiled as the daemon is: Cargo compiles a bench, and all that it needs, without `panic = "abort"`,
//! and so a second time. `make compare` has no time for that.

#[path = "../benches/idle.rs"]
mod idle;

fn main() {
    idle::main();
}
