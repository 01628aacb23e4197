//! What is printed on standard output once the daemon serves: addresses, applications, and a token line to paste.

use std::io::Write;
use std::net::SocketAddr;

use super::plan::Plan;

/// Prints where and what is served. A closed standard output is no reason to stop.
pub fn print(plan: &Plan, bound: &[SocketAddr]) {
    let _ = std::io::stdout().write_all(text(plan, bound).as_bytes());
}

fn text(plan: &Plan, bound: &[SocketAddr]) -> String {
    let mut out = format!("siod {}\n", crate::api::VERSION);
    for (listener, addr) in plan.listeners.iter().zip(bound) {
        let root = listener.root.unwrap_or("none");
        let paths: Vec<&str> = listener.routes.iter().map(|route| &*route.path).collect();
        out += &format!("  listening   http://{addr}   paths {}   root {root}\n", paths.join(" "));
    }
    if let Some(admin) = plan.admin_bind {
        out += &format!("  admin       http://{admin}   /metrics /health\n");
    }
    let apps: Vec<String> =
        plan.apps.iter().map(|app| format!("{} ({})", app.app.row.name, app.namespaces.join(" "))).collect();
    out += &format!("  serving     {}\n", apps.join("  "));
    out += if plan.dev {
        "  token       any text is one (development, loopback only): try  my-token\n"
    } else {
        "  token       siod token --sub me --role admin\n"
    };
    out
}
