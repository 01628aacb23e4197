//! Writing what a shard has for one socket, in as few system calls as there can be: one, as long as the kernel takes it.
//! Many small frames are copied into one buffer; large ones are written from where they lie (DESIGN 2.2).

use std::io::{self, IoSlice, Write};

use mio::net::TcpStream;
use smallvec::SmallVec;

use crate::base::limit::COPY_ON_FLUSH_BYTES_MAX;

/// Slices given to one `writev`.
const SLICES_MAX: usize = 64;
/// Bytes copied for one `send`.
const COPIED_BYTES_MAX: usize = 64 * 1024;

/// Writes `slices` in order; returns how many bytes the kernel took. An error counts as nothing taken: reading the
/// socket will tell of it. A write that a signal has interrupted is made again: no readiness would come for it.
pub(crate) fn write<'a>(mut tcp: &TcpStream, slices: impl Iterator<Item = &'a [u8]>, scratch: &mut Vec<u8>) -> usize {
    let mut slices = slices.peekable();
    let mut written = 0;
    while let Some(first) = slices.next() {
        let wanted;
        let taken = if slices.peek().is_none() {
            wanted = first.len();
            taken_bytes(|| tcp.write(first))
        } else if first.len() <= COPY_ON_FLUSH_BYTES_MAX {
            scratch.clear();
            scratch.extend_from_slice(first);
            let fits = |next: &&[u8], held: usize| next.len() <= COPY_ON_FLUSH_BYTES_MAX && held < COPIED_BYTES_MAX;
            while let Some(next) = slices.next_if(|next| fits(next, scratch.len())) {
                scratch.extend_from_slice(next);
            }
            wanted = scratch.len();
            taken_bytes(|| tcp.write(scratch))
        } else {
            let mut batch: SmallVec<[IoSlice<'_>; SLICES_MAX]> = SmallVec::new();
            batch.push(IoSlice::new(first));
            while batch.len() < SLICES_MAX
                && let Some(next) = slices.next()
            {
                batch.push(IoSlice::new(next));
            }
            wanted = batch.iter().map(|slice| slice.len()).sum();
            taken_bytes(|| tcp.write_vectored(&batch))
        };
        written += taken;
        if taken < wanted {
            break;
        }
    }
    written
}

fn taken_bytes(write: impl FnMut() -> io::Result<usize>) -> usize {
    uninterrupted(write).unwrap_or(0)
}

/// What a write came to that is made again as often as a signal interrupts it.
pub(crate) fn uninterrupted(mut write: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match write() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn pair() -> (TcpStream, std::net::TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        (TcpStream::from_std(server), client)
    }

    #[test]
    fn small_and_large_slices_arrive_in_order() {
        let (server, mut client) = pair();
        let parts: Vec<Vec<u8>> = [3usize, 5, 9000, 2, 2, 8000, 8000, 1].iter().map(|n| vec![*n as u8; *n]).collect();
        let expected: Vec<u8> = parts.concat();
        let written = write(&server, parts.iter().map(Vec::as_slice), &mut Vec::new());
        assert_eq!(written, expected.len());
        let mut got = vec![0; expected.len()];
        client.read_exact(&mut got).unwrap();
        assert_eq!(got, expected);
    }

    #[test]
    fn a_full_socket_takes_a_part_and_says_how_much() {
        let (server, client) = pair();
        let chunk = vec![7; 1 << 20];
        let written = write(&server, std::iter::repeat_n(chunk.as_slice(), 64), &mut Vec::new());
        assert!(written > 0 && written < 64 << 20);
        assert_eq!(write(&server, std::iter::once(&chunk[..]), &mut Vec::new()), 0);
        drop(client);
    }

    #[test]
    fn an_interrupted_write_is_made_again_and_a_blocked_one_is_not() {
        let taken = |kinds: &[io::ErrorKind]| {
            let mut kinds = kinds.iter();
            let taken = taken_bytes(|| kinds.next().map_or(Ok(5), |kind| Err((*kind).into())));
            (taken, kinds.len())
        };
        assert_eq!(taken(&[io::ErrorKind::Interrupted, io::ErrorKind::Interrupted]), (5, 0));
        assert_eq!(taken(&[io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted]), (0, 1));
    }
}
