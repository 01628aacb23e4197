//! What Shelly's clouds and devices say and are asked, as values: requests, messages, answers, and how secrets are kept. `id` (a
//! device's name in both spellings) → `status` (what one status says) → `order` and `meter` (which status counts, and energy that
//! never falls) → `socket`, `oauth`, `http`, `v2` (the cloud) → `rpc`, `digest`, `gen1`, `path` (devices) → `seal` (secrets at
//! rest). Pure: who asks, when, and what follows is decided elsewhere.

pub(crate) mod digest;
pub(crate) mod gen1;
pub(crate) mod http;
pub(crate) mod id;
pub(crate) mod meter;
pub(crate) mod oauth;
pub(crate) mod order;
pub(crate) mod path;
pub(crate) mod rpc;
pub(crate) mod seal;
pub(crate) mod socket;
pub(crate) mod status;
pub(crate) mod v2;
