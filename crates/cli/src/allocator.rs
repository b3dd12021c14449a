//! glibc's allocator, told to keep what it has.

/// Tells malloc never to give pages back: on virtual machines page faults are the dearest thing in a training step, and a
/// step asks for the same sizes again and again.
pub fn keep_pages() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt only sets numbers, and this is the first thing that `main` does: no other thread is there yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
        libc::mallopt(libc::M_TOP_PAD, 256 << 20);
    }
}
