//! Input that is nearly right: seeds with bytes changed, pieces taken out, said twice, or put in from elsewhere.

/// Pieces that formats give a meaning to, and numbers at the ends of their ranges.
const PIECES: [&[u8]; 28] = [
    b"<",
    b">",
    b"</",
    b"/>",
    b"<!--",
    b"<![CDATA[",
    b"]]>",
    b"&amp;",
    b"&#0;",
    b"&",
    b"\"",
    b"\\u",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"-->",
    b"\r\n\r\n",
    b"\n",
    b"\t",
    b"\0",
    b"\xe2\x80\xa8",
    b"\xe2\x80\x8b",
    b"\xef\xbb\xbf",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"-1",
    b"99999999999999999999",
];

/// Bytes of an input at most.
const LONGEST: usize = 1 << 16;

/// Endless mutations of seeds, the same ones each time.
#[derive(Clone, Debug)]
pub struct Mutations {
    seeds: Vec<Vec<u8>>,
    state: u64,
}

impl Mutations {
    /// Mutations of `seeds`, of which there is one at least; `start` chooses the sequence.
    pub fn new(seeds: Vec<Vec<u8>>, start: u64) -> Self {
        Self { seeds, state: start }
    }

    /// A number below `bound` (SplitMix64).
    fn below(&mut self, bound: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) % bound.max(1) as u64) as usize
    }

    /// A piece of some bytes, short ones more often than long ones.
    fn piece(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let most = [1, 4, 16, length][self.below(4)].min(length - start);
        start..start + self.below(most + 1)
    }

    /// Changes bytes once.
    fn change(&mut self, bytes: &mut Vec<u8>) {
        let piece = self.piece(bytes.len());
        match self.below(7) {
            0 | 1 if !bytes.is_empty() => {
                let at = self.below(bytes.len());
                bytes[at] = if self.below(2) == 0 { bytes[at] ^ 1 << self.below(8) } else { self.below(256) as u8 };
            }
            2 => drop(bytes.drain(piece)),
            3 => {
                let copy = bytes[piece].to_vec();
                let at = self.below(bytes.len() + 1);
                bytes.splice(at..at, copy);
            }
            4 => {
                let other = self.below(self.seeds.len());
                let from = self.piece(self.seeds[other].len());
                let other = self.seeds[other][from].to_vec();
                bytes.splice(piece, other);
            }
            5 => bytes.truncate(piece.start),
            _ => {
                let added = PIECES[self.below(PIECES.len())];
                let at = piece.start;
                bytes.splice(at..at, added.iter().copied());
            }
        }
        bytes.truncate(LONGEST);
    }
}

impl Iterator for Mutations {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let seed = self.below(self.seeds.len());
        let mut bytes = self.seeds.get(seed)?.clone();
        for _ in 0..=self.below(4) {
            self.change(&mut bytes);
        }
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mutations_differ_from_their_seeds_and_are_the_same_each_time() {
        let seeds = vec![b"<a>text</a>".to_vec(), b"{\"a\": 1}".to_vec()];
        let found = |start: u64| Mutations::new(seeds.clone(), start).take(200).collect::<Vec<_>>();
        assert_eq!(found(1), found(1));
        assert_ne!(found(1), found(2));
        let same = found(1).iter().filter(|bytes| seeds.contains(bytes)).count();
        let distinct: std::collections::BTreeSet<_> = found(1).into_iter().collect();
        assert!(same < 30 && distinct.len() > 150, "{same} as they were, {} different", distinct.len());
    }
}
