//! Which arrays and objects are open while a JSON value is scanned: one bit each, so that no depth needs memory.

use crate::base::limit::JSON_DEPTH_MAX;

/// The containers that are open inside one value.
#[derive(Default)]
pub(super) struct Nesting {
    depth: usize,
    /// One bit for each, set for an object; the innermost lowest.
    objects: u64,
}

const _: () = assert!(JSON_DEPTH_MAX <= u64::BITS as usize);

impl Nesting {
    /// The caller has checked the depth.
    pub(super) fn push(&mut self, is_object: bool) {
        self.depth += 1;
        self.objects = self.objects << 1 | u64::from(is_object);
    }

    /// Only where something is open.
    pub(super) fn pop(&mut self) {
        self.depth -= 1;
        self.objects >>= 1;
    }

    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// The innermost container is an object.
    pub(super) fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }
}
