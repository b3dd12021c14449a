//! Output memory that threads fill together, each its own part, and that is written once instead of zeroed first.

use std::mem::MaybeUninit;

/// Values that several threads write through, each to places of its own.
pub(crate) struct Shared<T = f32> {
    start: *mut T,
    len: usize,
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Shared<T> {}

// SAFETY: every use takes disjoint ranges, which the caller of `slice` and `room` promises.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Initialized values. Using them is `unsafe`, for nothing ties them to the life of `values`.
    pub fn new(values: &mut [T]) -> Self {
        Self { start: values.as_mut_ptr(), len: values.len() }
    }

    /// The values `start..start + len`.
    ///
    /// # Safety
    /// The buffer lives, the range is initialized, and nobody else touches it meanwhile.
    ///
    /// # Panics
    /// If the range is not in the buffer.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn slice(&self, start: usize, len: usize) -> &mut [T] {
        // SAFETY: `from` has checked the range, the caller promises the rest.
        unsafe { std::slice::from_raw_parts_mut(self.part(start, len), len) }
    }

    /// The places `start..start + len`, to be written.
    ///
    /// # Safety
    /// The buffer lives, and nobody else touches the range meanwhile.
    ///
    /// # Panics
    /// If the range is not in the buffer.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn room(&self, start: usize, len: usize) -> &mut [MaybeUninit<T>] {
        // SAFETY: as above; `MaybeUninit` asks for no values.
        unsafe { std::slice::from_raw_parts_mut(self.part(start, len).cast(), len) }
    }

    fn part(&self, start: usize, len: usize) -> *mut T {
        assert!(start <= self.len && len <= self.len - start, "{len} values from {start} of a buffer of {}", self.len);
        self.start.wrapping_add(start)
    }

    /// The buffer from value `start` on.
    ///
    /// # Panics
    /// If it ends before.
    pub fn from(&self, start: usize) -> Self {
        Self { start: self.part(start, 0), len: self.len - start }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The first value.
    pub fn as_mut_ptr(&self) -> *mut T {
        self.start
    }
}

impl Shared {
    /// The values `start..start + len`, set to zero.
    ///
    /// # Safety
    /// The buffer lives, and nobody else touches the range meanwhile.
    ///
    /// # Panics
    /// If the range is not in the buffer.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn zeros(&self, start: usize, len: usize) -> &mut [f32] {
        // SAFETY: the caller's promise, and all values are written before they are given out.
        unsafe {
            let room = self.room(start, len);
            room.fill(MaybeUninit::new(0.0));
            room.assume_init_mut()
        }
    }
}

/// A vector that is to be written in full before it is read.
pub(crate) struct Room {
    values: Vec<f32>,
    len: usize,
}

impl Room {
    pub fn new(len: usize) -> Self {
        Self { values: Vec::with_capacity(len), len }
    }

    /// Where to write.
    pub fn shared(&mut self) -> Shared {
        Shared { start: self.values.as_mut_ptr(), len: self.len }
    }

    /// The vector.
    ///
    /// # Safety
    /// All of its values have been written.
    pub unsafe fn filled(mut self) -> Vec<f32> {
        // SAFETY: `new` made room for `len` values, and the caller has written them.
        unsafe { self.values.set_len(self.len) };
        self.values
    }
}

/// A vector of `len` values that `fill` writes.
///
/// # Safety
/// `fill` must write all `len` values.
pub(crate) unsafe fn filled(len: usize, fill: impl FnOnce(Shared)) -> Vec<f32> {
    let mut room = Room::new(len);
    fill(room.shared());
    // SAFETY: the caller's promise.
    unsafe { room.filled() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_written_by_threads_make_a_vector() {
        let fill = |out: Shared| {
            std::thread::scope(|scope| {
                for part in 0..4 {
                    scope.spawn(move || {
                        // SAFETY: each thread has a part of its own.
                        unsafe { out.room(part * 5, 5) }.iter_mut().for_each(|v| _ = v.write(part as f32))
                    });
                }
            });
        };
        // SAFETY: the parts cover all values.
        let values = unsafe { filled(20, fill) };
        assert_eq!(values, (0..20).map(|i| (i / 5) as f32).collect::<Vec<_>>());
    }

    #[test]
    #[should_panic(expected = "4 values from 2 of a buffer of 5")]
    fn a_range_beyond_the_buffer_panics() {
        let mut values = [0.0f32; 5];
        // SAFETY: the buffer is this test's own.
        unsafe { Shared::new(&mut values).slice(2, 4) };
    }
}
