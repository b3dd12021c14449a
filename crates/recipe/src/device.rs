//! Which device a recipe or a command names, as far as that can be said without a tensor library.

/// Whether a device's name means the CPU. There is one, so `cpu` and `cpu:0` are the same, and any other index is an
/// error where devices are opened.
pub fn is_cpu(device: &str) -> bool {
    matches!(device, "cpu" | "cpu:0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_has_two_names() {
        assert!(["cpu", "cpu:0"].into_iter().all(is_cpu));
        assert!(!["cpu:1", "cpu:", "cpu:00", "cuda:0", "wgpu", ""].into_iter().any(is_cpu));
    }
}
