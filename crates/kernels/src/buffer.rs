//! Output buffers that are written once: no zeroing of memory that is about to be overwritten.

/// A vector of `len` values that `fill` writes through the pointer it is given.
///
/// # Safety
/// `fill` must initialise all `len` values.
pub(crate) unsafe fn filled(len: usize, fill: impl FnOnce(*mut f32)) -> Vec<f32> {
    let mut values = Vec::<f32>::with_capacity(len);
    fill(values.as_mut_ptr());
    // SAFETY: the capacity is `len` and the caller's `fill` initialised every value.
    unsafe { values.set_len(len) };
    values
}

/// A raw pointer that several threads write through, each to places of its own.
#[derive(Clone, Copy)]
pub(crate) struct Shared(*mut f32);

// SAFETY: every use takes disjoint ranges, which each call of `slice` states.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    pub fn new(pointer: *mut f32) -> Self {
        Self(pointer)
    }

    /// The values `start..start + len`.
    ///
    /// # Safety
    /// The range lies in the buffer, is initialised or only written, and no other thread touches it meanwhile.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn slice(&self, start: usize, len: usize) -> &mut [f32] {
        // SAFETY: as the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(start), len) }
    }

    /// The buffer from value `start` on.
    ///
    /// # Safety
    /// `start` lies in the buffer.
    pub unsafe fn from(&self, start: usize) -> Self {
        // SAFETY: as the caller promises.
        Self(unsafe { self.0.add(start) })
    }

    /// The pointer to value `start`.
    ///
    /// # Safety
    /// `start` lies in the buffer.
    pub unsafe fn at(&self, start: usize) -> *mut f32 {
        // SAFETY: as the caller promises.
        unsafe { self.0.add(start) }
    }
}
