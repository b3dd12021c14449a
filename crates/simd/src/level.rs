//! The instruction levels: what the processor has, and which of it this process uses.

#[cfg(target_arch = "aarch64")]
use std::arch::is_aarch64_feature_detected;
use std::fmt;
use std::sync::OnceLock;

/// The environment variable that lowers the level, to one of the names of [`Isa::name`].
pub const ISA_VARIABLE: &str = "STRATA_ISA";

/// A set of instructions, each a superset of those before it but for the two kinds of VNNI.
///
/// AVX-512 means F, BW, DQ and VL everywhere. Every processor with bfloat16 products (Cooper Lake, Sapphire Rapids,
/// Zen 4 and later) also has AVX-512 VNNI, and every ARM processor with products of matrices of bytes (Graviton 3,
/// Apple M2 and later) also has dot products of bytes, so one line of levels covers each family.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Isa {
    /// What every processor of the target has.
    Portable,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX2 and FMA, with dot products of bytes in 256-bit registers.
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    /// AVX-512 F, BW, DQ and VL, with AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX-512 with dot products of bytes.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    /// AVX-512 with dot products of bytes and of pairs of bfloat16.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
    /// NEON, which every 64-bit ARM processor has.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// NEON with dot products of bytes.
    #[cfg(target_arch = "aarch64")]
    NeonDotprod,
    /// NEON with dot products of bytes and with products of small matrices of bytes.
    #[cfg(target_arch = "aarch64")]
    NeonI8mm,
}

/// The registers that plain f32 code uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vectors {
    /// Whatever the compiler uses for the target.
    Portable,
    /// 256-bit registers with FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 512-bit registers.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 128-bit registers of ARM.
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Isa {
    #[cfg(target_arch = "x86_64")]
    const ALL: [Isa; 6] = [Isa::Portable, Isa::Avx2, Isa::AvxVnni, Isa::Avx512, Isa::Avx512Vnni, Isa::Avx512Bf16];
    #[cfg(target_arch = "aarch64")]
    const ALL: [Isa; 4] = [Isa::Portable, Isa::Neon, Isa::NeonDotprod, Isa::NeonI8mm];
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    const ALL: [Isa; 1] = [Isa::Portable];

    /// The name in [`ISA_VARIABLE`] and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Isa::AvxVnni => "avx-vnni",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => "avx512-vnni",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Bf16 => "avx512-bf16",
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => "neon",
            #[cfg(target_arch = "aarch64")]
            Isa::NeonDotprod => "neon-dotprod",
            #[cfg(target_arch = "aarch64")]
            Isa::NeonI8mm => "neon-i8mm",
        }
    }

    /// Whether this processor has the instructions.
    fn detected(self) -> bool {
        match self {
            Isa::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Isa::AvxVnni => Isa::Avx2.detected() && is_x86_feature_detected!("avxvnni"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                Isa::Avx2.detected()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => Isa::Avx512.detected() && is_x86_feature_detected!("avx512vnni"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Bf16 => Isa::Avx512Vnni.detected() && is_x86_feature_detected!("avx512bf16"),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => is_aarch64_feature_detected!("neon"),
            #[cfg(target_arch = "aarch64")]
            Isa::NeonDotprod => Isa::Neon.detected() && is_aarch64_feature_detected!("dotprod"),
            #[cfg(target_arch = "aarch64")]
            Isa::NeonI8mm => Isa::NeonDotprod.detected() && is_aarch64_feature_detected!("i8mm"),
        }
    }
}

/// An [`Isa`] that this processor has: only detection makes one, so code for its instructions may run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Level(Isa);

impl Level {
    /// All levels of this processor, the best last.
    pub fn available() -> &'static [Level] {
        static AVAILABLE: OnceLock<Vec<Level>> = OnceLock::new();
        AVAILABLE.get_or_init(|| Isa::ALL.into_iter().filter(|isa| isa.detected()).map(Level).collect())
    }

    /// The best level of this processor.
    pub fn best() -> Level {
        Level::available().last().copied().unwrap_or(Level(Isa::Portable))
    }

    /// The level that [`ISA_VARIABLE`] names, or the best one if it is not set or empty. The variable is read once.
    ///
    /// # Errors
    /// A value that is no level, or one that this processor does not have.
    pub fn chosen() -> Result<Level, InvalidIsa> {
        static CHOSEN: OnceLock<Result<Level, InvalidIsa>> = OnceLock::new();
        CHOSEN
            .get_or_init(|| match std::env::var_os(ISA_VARIABLE).filter(|value| !value.is_empty()) {
                Some(value) => Level::parse(&value.to_string_lossy()),
                None => Ok(Level::best()),
            })
            .clone()
    }

    /// The level that this process uses: [`Level::chosen`], or the best one where that is an error, which a program
    /// reports at its start.
    #[inline]
    pub fn current() -> Level {
        static CURRENT: OnceLock<Level> = OnceLock::new();
        *CURRENT.get_or_init(|| Level::chosen().unwrap_or_else(|_| Level::best()))
    }

    fn parse(value: &str) -> Result<Level, InvalidIsa> {
        let found = Level::available().iter().find(|level| level.name() == value);
        found.copied().ok_or_else(|| InvalidIsa { value: value.to_owned() })
    }

    /// Its instructions.
    #[inline]
    pub fn isa(self) -> Isa {
        self.0
    }

    /// As [`ISA_VARIABLE`] and reports name it.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// The registers for plain f32 code.
    #[inline]
    pub fn vectors(self) -> Vectors {
        match self.0 {
            Isa::Portable => Vectors::Portable,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::AvxVnni => Vectors::Avx2,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Avx512Vnni | Isa::Avx512Bf16 => Vectors::Avx512,
            #[cfg(target_arch = "aarch64")]
            Isa::Neon | Isa::NeonDotprod | Isa::NeonI8mm => Vectors::Neon,
        }
    }
}

/// A value of [`ISA_VARIABLE`] that is no level of this processor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InvalidIsa {
    value: String,
}

impl fmt::Display for InvalidIsa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Level::available().iter().map(|level| level.name()).collect();
        let (value, names) = (&self.value, names.join(", "));
        match Isa::ALL.iter().any(|isa| isa.name() == value) {
            true => {
                write!(f, "{ISA_VARIABLE}={value}: this processor does not have it; choose from {names}, or unset it")
            }
            false => {
                write!(f, "{ISA_VARIABLE}={value:?} is not an instruction level; choose from {names}, or unset it")
            }
        }
    }
}

impl std::error::Error for InvalidIsa {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_found_by_their_names_and_others_are_refused_with_the_choices() {
        for level in Level::available() {
            assert_eq!(Level::parse(level.name()), Ok(*level));
        }
        let missing = Isa::ALL.into_iter().find(|isa| !isa.detected()).map_or("avx9", Isa::name);
        for value in ["", "AVX2", "avx512f", missing] {
            let message = Level::parse(value).expect_err(value).to_string();
            assert!(message.contains(value) && message.contains("choose from portable"), "{message}");
        }
    }

    #[test]
    fn the_environment_chooses_the_level() {
        let expected = std::env::var(ISA_VARIABLE).unwrap_or_else(|_| Level::best().name().to_owned());
        assert_eq!(Level::current().name(), expected);
    }

    #[test]
    fn every_processor_has_the_portable_level_and_levels_ascend() {
        let levels = Level::available();
        assert_eq!(levels[0].isa(), Isa::Portable);
        assert!(levels.is_sorted() && Level::best() == levels[levels.len() - 1]);
    }
}
