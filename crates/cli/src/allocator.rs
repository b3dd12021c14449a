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

/// For servers, before their threads start: two heaps for all of them instead of eight for each processor. Requests are worked on by
/// whatever threads are free, so that otherwise each heap grows to the most that it ever held at once, one by one over hours.
pub fn few_heaps() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt only sets numbers.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}

/// Gives back what is free now, for programs that run on for days after giving up something large.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim may be called at any time by any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
