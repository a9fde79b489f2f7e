//! A copy of some bytes with parts replaced. In: the bytes and, from left to right, what to put for which part. Out: the
//! edited copy, or nothing when nothing was replaced – the usual case, which then costs no copy.

pub(crate) struct Edits<'i, 'o> {
    input: &'i [u8],
    out: &'o mut Vec<u8>,
    /// Where the part of the input begins that is not copied yet.
    copied: usize,
    changed: bool,
}

impl<'i, 'o> Edits<'i, 'o> {
    pub(crate) fn new(input: &'i [u8], out: &'o mut Vec<u8>) -> Edits<'i, 'o> {
        Edits {
            input,
            out,
            copied: 0,
            changed: false,
        }
    }

    pub(crate) fn input(&self) -> &'i [u8] {
        self.input
    }

    /// Replaces `start..end` by what `put` appends. A part that begins before the end of the last one is shortened.
    pub(crate) fn replace(
        &mut self,
        start: usize,
        end: usize,
        put: impl FnOnce(&[u8], &mut Vec<u8>),
    ) {
        let start = start.max(self.copied);
        let (Some(before), Some(value)) = (
            self.input.get(self.copied..start),
            self.input.get(start..end),
        ) else {
            return;
        };
        self.out.extend_from_slice(before);
        put(value, self.out);
        self.copied = end;
        self.changed = true;
    }

    /// Copies the rest. `false`: nothing was replaced and nothing written.
    pub(crate) fn finish(self) -> bool {
        if self.changed {
            self.out
                .extend_from_slice(self.input.get(self.copied..).unwrap_or_default());
        }
        self.changed
    }
}
