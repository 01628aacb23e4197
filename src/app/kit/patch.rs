//! Merge patches on JSON values: what changed between two states, and a state with changes put in.
//! `null` in a patch removes a key, so a state itself holds no `null` (outside arrays, which are replaced whole).
//! Spec: <https://www.rfc-editor.org/rfc/rfc7386>.

use serde_json::{Map, Value};

/// Nesting followed by both directions; deeper values are replaced whole. The scanner lets no client nest deeper than 64.
const DEPTH_MAX: usize = 128;

/// The patch that turns `base` into `target`; `None` where they are equal. Exact for a `target` without nulls in objects.
pub fn diff(base: &Value, target: &Value) -> Option<Value> {
    diff_at(base, target, 0)
}

/// Puts the changes of `patch` into `base` (RFC 7386 section 2).
pub fn apply(base: &mut Value, patch: &Value) {
    apply_at(base, patch, 0);
}

/// Removes every key whose value is `null`, at any depth of objects; arrays keep theirs.
pub fn strip_nulls(value: &mut Value) {
    if let Value::Object(map) = value {
        map.retain(|_, inner| !inner.is_null());
        map.values_mut().for_each(strip_nulls);
    }
}

fn diff_at(base: &Value, target: &Value, depth: usize) -> Option<Value> {
    if base == target {
        return None;
    }
    let (Value::Object(before), Value::Object(after)) = (base, target) else { return Some(target.clone()) };
    if depth >= DEPTH_MAX {
        return Some(target.clone());
    }
    let mut patch = Map::new();
    for (key, value) in after {
        match before.get(key) {
            None => drop(patch.insert(key.clone(), value.clone())),
            Some(old) => {
                if let Some(change) = diff_at(old, value, depth + 1) {
                    patch.insert(key.clone(), change);
                }
            }
        }
    }
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    Some(Value::Object(patch))
}

fn apply_at(base: &mut Value, patch: &Value, depth: usize) {
    let Value::Object(changes) = patch else { return *base = patch.clone() };
    if depth >= DEPTH_MAX {
        *base = patch.clone();
        return strip_nulls(base);
    }
    if !base.is_object() {
        *base = Value::Object(Map::new());
    }
    let Value::Object(map) = base else { return };
    for (key, change) in changes {
        if change.is_null() {
            map.shift_remove(key);
        } else {
            apply_at(map.entry(key.as_str()).or_insert(Value::Null), change, depth + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// RFC 7386 appendix A.
    #[test]
    fn the_table_of_the_rfc_holds() {
        for (base, patch, result) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a":"b"}), json!(["c"]), json!(["c"])),
            (json!({"a":"foo"}), json!(null), json!(null)),
            (json!({"a":"foo"}), json!("bar"), json!("bar")),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            let mut value = base.clone();
            apply(&mut value, &patch);
            assert_eq!(value, result, "{base} + {patch}");
        }
    }

    #[test]
    fn only_what_changed_is_in_the_patch() {
        let base = json!({"vlc":{"time":30,"state":"playing"},"app":{"v":1},"gone":1});
        let target = json!({"vlc":{"time":31,"state":"playing"},"app":{"v":1}});
        assert_eq!(diff(&base, &target), Some(json!({"vlc":{"time":31},"gone":null})));
        assert_eq!(diff(&base, &base), None);
    }

    #[test]
    fn nulls_go_but_those_in_arrays_stay() {
        let mut value = json!({"a":null,"b":{"c":null,"d":[null,{"e":null}]}});
        strip_nulls(&mut value);
        assert_eq!(value, json!({"b":{"d":[null,{"e":null}]}}));
    }

    #[test]
    fn nesting_beyond_the_bound_is_replaced_whole() {
        let deep = |leaf: Value| (0..300).fold(leaf, |inner, _| json!({"k": inner}));
        let (base, target) = (deep(json!({"a":1,"b":2})), deep(json!({"a":1})));
        let mut value = base.clone();
        apply(&mut value, &diff(&base, &target).unwrap());
        assert_eq!(value, target);
    }

    fn state() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<i32>().prop_map(Value::from), "[a-c]{0,2}".prop_map(Value::from)];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-d]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn applying_the_difference_gives_the_target(base in state(), target in state()) {
            let mut value = base.clone();
            if let Some(patch) = diff(&base, &target) {
                apply(&mut value, &patch);
            }
            prop_assert_eq!(value, target);
        }
    }
}
