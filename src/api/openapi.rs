//! `/openapi.json`: what the listener serves for applications, described from their rows (OpenAPI 3.1).

use serde_json::{Map, Value, json};

use super::VERSION;
use super::routes::Owned;
use crate::app::route::{Body, Param, Route, Who};

/// The description of these paths.
pub(super) fn describe(served: &[(String, Owned)]) -> Value {
    let mut paths = Map::new();
    for (path, owned) in served {
        let path = path.replace("{*", "{");
        let methods = paths.entry(path.clone()).or_insert_with(|| json!({}));
        methods[owned.route.method.name().to_ascii_lowercase()] = operation(&path, owned);
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "siod", "version": VERSION },
        "paths": paths,
        "components": { "securitySchemes": {
            "bearer": { "type": "http", "scheme": "bearer" },
            "query": { "type": "apiKey", "in": "query", "name": "token" },
        }},
    })
}

fn operation(path: &str, owned: &Owned) -> Value {
    let Owned { row, route } = owned;
    // The same operation under its bare path has a name of its own.
    let bare = if path.starts_with(&format!("/{}/", row.name)) { "" } else { "-bare" };
    let mut operation = json!({
        "operationId": format!("{}-{}{bare}", row.name, route.name),
        "tags": [row.name],
        "summary": route.doc,
        "parameters": parameters(route),
        "responses": { "default": { "description": "See the application's documentation." } },
    });
    let security = match route.who {
        Who::Anybody => json!([]),
        Who::Token { in_query: false } => json!([{ "bearer": [] }]),
        Who::Token { in_query: true } | Who::Session { .. } => json!([{ "bearer": [] }, { "query": [] }]),
    };
    operation["security"] = security;
    let kind = match route.body {
        Body::None => return operation,
        Body::Json { .. } => "application/json",
        Body::Raw { .. } => "*/*",
        Body::Upload { .. } => "multipart/form-data",
    };
    operation["requestBody"] = json!({ "required": true, "content": { kind: {} } });
    operation
}

fn parameters(route: &'static Route) -> Vec<Value> {
    let doc = |name: &str| route.params.iter().find(|param| param.name == name).map_or("", |param| param.doc);
    let in_path = route.in_path().map(|name| {
        json!({ "name": name, "in": "path", "required": true, "description": doc(name), "schema": { "type": "string" } })
    });
    let in_query = route.in_query().map(|Param { name, doc, default }| {
        let mut schema = json!({ "type": "string" });
        if let Some(default) = default {
            schema["default"] = json!(default);
        }
        json!({ "name": name, "in": "query", "required": false, "description": doc, "schema": schema })
    });
    in_path.chain(in_query).collect()
}

#[cfg(test)]
mod tests {
    use super::super::routes::served;
    use super::super::testing::ROWS;
    use super::*;
    use crate::app::route::Door;

    #[test]
    fn every_route_is_described_where_it_is_served() {
        let all = served(ROWS, Door::Public, Some("desk"));
        let described = describe(&all);
        assert_eq!(described["openapi"], "3.1.0");
        let mut ids = std::collections::BTreeSet::new();
        for (path, owned) in &all {
            let path = path.replace("{*", "{");
            let operation = &described["paths"][&path][owned.route.method.name().to_ascii_lowercase()];
            assert_eq!(operation["summary"], owned.route.doc, "{path}");
            assert!(ids.insert(operation["operationId"].to_string()), "{path}: a name of its own");
            let params = operation["parameters"].as_array().unwrap();
            assert_eq!(params.iter().filter(|param| param["in"] == "path").count(), path.matches('{').count());
        }
        assert_eq!(described["paths"]["/desk/notes/{note}"]["get"]["security"][0], json!({"bearer": []}));
        assert!(described["paths"].get("/desk/ledger").is_none(), "the operator's are on the admin listener");
    }
}
