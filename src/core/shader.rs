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
    /// Name of the source file.
    pub file: &'static str,
    /// What is bound as 0, 1, 2, ...
    pub bindings: &'static [BindingKind],
    /// Their names.
    pub binding_names: &'static [&'static str],
    /// Number of 32-bit push constants.
    pub push_words: u32,
    /// They by name, in their order.
    pub push: &'static [PushMember],
    /// Number of specialization constants, the workgroup size included.
    pub spec_constants: usize,
    /// Names of those beyond the workgroup size: 3, 4, ...
    pub spec: &'static [&'static str],
    /// The code.
    pub spirv: &'static [u8],
}

/// Where a push constant lies.
#[derive(Clone, Debug)]
pub struct PushMember {
    /// Its name; members of structs have those of both, `source.strides`.
    pub name: &'static str,
    /// Its 32-bit words.
    pub words: std::ops::Range<usize>,
}

impl ShaderInfo {
    /// Where the push constant `name` lies.
    pub fn push_words_of(&self, name: &str) -> Option<std::ops::Range<usize>> {
        let found = self.push.iter().find(|member| member.name == name);
        found.map(|member| member.words.clone())
    }
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
