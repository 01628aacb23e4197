//! The mask over everything a client sends. Spec: RFC 6455 section 5.3.

/// Applies (or takes off) the mask; `offset` is how many bytes of the same payload came before these.
pub fn unmask(bytes: &mut [u8], key: [u8; 4], offset: usize) {
    let mut key = key;
    key.rotate_left(offset % 4);
    let half = u64::from(u32::from_ne_bytes(key));
    let wide = half << 32 | half;
    let (words, tail) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in tail.iter_mut().zip(wide.to_ne_bytes()) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_the_rfc() {
        let mut hello = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
        unmask(&mut hello, [0x37, 0xfa, 0x21, 0x3d], 0);
        assert_eq!(&hello, b"Hello");
    }

    proptest! {
        #[test]
        fn any_part_at_any_offset_is_as_byte_by_byte(bytes: Vec<u8>, key: [u8; 4], offset in 0usize..1000) {
            let slow: Vec<u8> = bytes.iter().enumerate().map(|(n, byte)| byte ^ key[(offset + n) % 4]).collect();
            let mut fast = bytes;
            unmask(&mut fast, key, offset);
            prop_assert_eq!(fast, slow);
        }
    }
}
