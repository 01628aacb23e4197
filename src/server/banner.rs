//! What is printed on standard output once the daemon serves: addresses, applications, and a token line to paste.

use std::net::SocketAddr;

use super::plan::Plan;
use crate::log::output;

/// Prints where and what is served. A standard output that is closed, full or never read is no reason to stop or to wait.
pub(crate) fn print(plan: &Plan, bound: &[SocketAddr]) {
    output::announce(text(plan, bound));
}

fn text(plan: &Plan, bound: &[SocketAddr]) -> String {
    let mut out = format!("siod {}\n", crate::api::VERSION);
    for (listener, addr) in plan.listeners.iter().zip(bound) {
        let root = listener.root.unwrap_or("none");
        let paths: Vec<&str> = listener.routes.iter().map(|route| &*route.path).collect();
        let dialect = listener.dialect.map(|dialect| format!("   dialect {dialect}")).unwrap_or_default();
        out += &format!("  listening   http://{addr}   paths {}   root {root}{dialect}\n", paths.join(" "));
    }
    if let Some(admin) = plan.admin_bind {
        out += &format!("  admin       http://{}   /metrics /health\n", admin.addr);
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
