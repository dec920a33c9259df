//! The kernels: an enum and a table that `shaders/build.rs` generates from `shaders/*.comp`.

/// What a kernel binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BindingKind {
    /// A storage buffer.
    Buffer,
    /// A storage image.
    Image,
}

/// What the build knows of a kernel.
#[derive(Clone, Copy, Debug)]
pub struct ShaderInfo {
    /// Name of the source file and variant.
    pub name: &'static str,
    /// What is bound as 0, 1, 2, ...
    pub bindings: &'static [BindingKind],
    /// Number of 32-bit push constants.
    pub push_words: u32,
    /// Number of specialization constants, the workgroup size included.
    pub spec_constants: usize,
    /// The code.
    pub spirv: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/shaders.rs"));

impl Shader {
    /// What the build knows of this kernel.
    pub fn info(self) -> &'static ShaderInfo {
        &INFOS[self as usize]
    }

    /// Every kernel.
    pub fn all() -> impl Iterator<Item = (usize, &'static ShaderInfo)> {
        INFOS.iter().enumerate()
    }
}
