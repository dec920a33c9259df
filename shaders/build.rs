//! Compiles every `shaders/*.comp` to SPIR-V and writes `shaders.rs`: an enum of the kernels, their
//! code, and what reflection says of their bindings and push constants.
//!
//! A shader names its variants in a line that GLSL ignores:
//! `#pragma variants f32: STORAGE=float; f16: STORAGE=float16_t HALF=1`
//! gives `GemmF32` and `GemmF16` for `gemm.comp`. Without the line there is one kernel, `Gemm`.

use glslang::{
    include::{IncludeHandler, IncludeResult, IncludeType},
    Compiler, CompilerOptions, ShaderInput, ShaderSource, ShaderStage, SourceLanguage,
    SpirvVersion, Target, VulkanVersion,
};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=shaders");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
    let mut files: Vec<PathBuf> = fs::read_dir("shaders")
        .expect("shaders/ exists")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|e| e == "comp"))
        .collect();
    files.sort();
    let (mut variants, mut infos) = (String::new(), String::new());
    for file in &files {
        let source = fs::read_to_string(file).expect("readable shader");
        let stem = file
            .file_stem()
            .expect("named")
            .to_string_lossy()
            .into_owned();
        for (suffix, defines) in variants_of(&source) {
            let name = format!("{}{}", camel(&stem), camel(&suffix));
            let spirv = compile(file, &source, &defines);
            let facts = reflect(&spirv).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            let bytes: Vec<u8> = spirv.iter().flat_map(|word| word.to_le_bytes()).collect();
            fs::write(out.join(format!("{name}.spv")), bytes).expect("OUT_DIR is writable");
            writeln!(
                variants,
                "    /// `shaders/{stem}.comp` {defines:?}\n    {name},"
            )
            .expect("string");
            writeln!(
                infos,
                "    ShaderInfo {{ name: {:?}, bindings: &[{}], push_words: {}, spec_constants: {}, \
                 spirv: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}.spv\")) }},",
                format!("{stem}{}{suffix}", if suffix.is_empty() { "" } else { "_" }),
                facts.bindings.join(", "),
                facts.push_words,
                facts.spec_constants,
            )
            .expect("string");
        }
    }
    let text = format!(
        "/// A kernel. The numbers are indices into the table of [`Shader::info`].\n\
         #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]\n\
         pub enum Shader {{\n{variants}}}\n\nstatic INFOS: &[ShaderInfo] = &[\n{infos}];\n"
    );
    fs::write(out.join("shaders.rs"), text).expect("OUT_DIR is writable");
}

fn variants_of(source: &str) -> Vec<(String, Vec<String>)> {
    let Some(line) = source
        .lines()
        .find_map(|l| l.trim().strip_prefix("#pragma variants "))
    else {
        return vec![(String::new(), Vec::new())];
    };
    line.split(';')
        .map(|variant| {
            let (name, defines) = variant.split_once(':').unwrap_or((variant, ""));
            let defines = defines.split_whitespace().map(str::to_owned).collect();
            (name.trim().to_owned(), defines)
        })
        .collect()
}

fn camel(name: &str) -> String {
    name.split('_')
        .filter(|part| !part.is_empty())
        .map(|part| part[..1].to_uppercase() + &part[1..])
        .collect()
}

struct Lib;

impl IncludeHandler for Lib {
    fn include(
        &mut self,
        _kind: IncludeType,
        name: &str,
        _from: &str,
        _depth: usize,
    ) -> Option<IncludeResult> {
        let data = fs::read_to_string(Path::new("shaders/lib").join(name)).ok()?;
        Some(IncludeResult {
            name: name.to_owned(),
            data,
        })
    }
}

fn compile(file: &Path, source: &str, defines: &[String]) -> Vec<u32> {
    let compiler = Compiler::acquire().expect("glslang starts");
    let options = CompilerOptions {
        source_language: SourceLanguage::GLSL,
        target: Target::Vulkan {
            version: VulkanVersion::Vulkan1_1,
            spirv_version: SpirvVersion::SPIRV1_3,
        },
        ..Default::default()
    };
    let defines: Vec<(&str, Option<&str>)> = defines
        .iter()
        .map(|d| {
            d.split_once('=')
                .map_or((d.as_str(), Some("1")), |(n, v)| (n, Some(v)))
        })
        .collect();
    let source = ShaderSource::from(source.to_owned());
    let mut lib = Lib;
    ShaderInput::new(
        &source,
        ShaderStage::Compute,
        &options,
        Some(&defines),
        Some(&mut lib),
    )
    .and_then(|input| compiler.create_shader(input))
    .and_then(|shader| shader.compile())
    .unwrap_or_else(|e| panic!("{} {defines:?}: {e}", file.display()))
}

struct Facts {
    /// `BindingKind` of binding 0, 1, 2, ...
    bindings: Vec<&'static str>,
    push_words: u32,
    spec_constants: usize,
}

/// Bindings (0..n, each used), push-constant words and specialization constants.
fn reflect(spirv: &[u32]) -> Result<Facts, String> {
    use rspirv::dr::Operand;
    use rspirv::spirv::{Decoration, Op, StorageClass};
    use std::collections::{BTreeMap, BTreeSet, HashMap};
    let mut loader = rspirv::dr::Loader::new();
    rspirv::binary::parse_words(spirv, &mut loader).map_err(|e| format!("{e:?}"))?;
    let module = loader.module();
    // Binding number of each variable; several variables may show one buffer.
    let (mut bound, mut spec_ids) = (HashMap::new(), BTreeSet::new());
    let mut offsets: HashMap<u32, u32> = HashMap::new();
    for i in &module.annotations {
        match (i.class.opcode, i.operands.as_slice()) {
            (
                Op::Decorate,
                [Operand::IdRef(id), Operand::Decoration(Decoration::Binding), Operand::LiteralBit32(n)],
            ) => {
                bound.insert(*id, *n);
            }
            (
                Op::Decorate,
                [_, Operand::Decoration(Decoration::SpecId), Operand::LiteralBit32(n)],
            ) => {
                spec_ids.insert(*n);
            }
            (
                Op::MemberDecorate,
                [Operand::IdRef(ty), _, Operand::Decoration(Decoration::Offset), Operand::LiteralBit32(n)],
            ) => {
                let last = offsets.entry(*ty).or_default();
                *last = (*last).max(*n);
            }
            _ => {}
        }
    }
    let mut bindings: BTreeMap<u32, &'static str> = BTreeMap::new();
    for i in &module.types_global_values {
        let number = i.result_id.and_then(|id| bound.get(&id));
        if let (Op::Variable, [Operand::StorageClass(class), ..], Some(&number)) =
            (i.class.opcode, i.operands.as_slice(), number)
        {
            let kind = match class {
                StorageClass::UniformConstant => "BindingKind::Image",
                _ => "BindingKind::Buffer",
            };
            if bindings
                .insert(number, kind)
                .is_some_and(|other| other != kind)
            {
                return Err(format!("binding {number} is a buffer and an image"));
            }
        }
    }
    if !bindings
        .keys()
        .copied()
        .eq(0..u32::try_from(bindings.len()).unwrap_or(0))
    {
        return Err(format!("bindings {bindings:?} are not 0, 1, 2, ..."));
    }
    // Push constants are 32-bit scalars or arrays of them that end the block.
    let mut push_words = 0;
    for i in &module.types_global_values {
        if let (
            Op::TypePointer,
            [Operand::StorageClass(StorageClass::PushConstant), Operand::IdRef(ty)],
        ) = (i.class.opcode, i.operands.as_slice())
        {
            if let Some(last) = offsets.get(ty) {
                push_words = push_words.max(last / 4 + last_member_words(&module, *ty)?);
            }
        }
    }
    Ok(Facts {
        bindings: bindings.into_values().collect(),
        push_words,
        spec_constants: spec_ids.len(),
    })
}

/// Size in words of the last member of the struct `ty`.
fn last_member_words(module: &rspirv::dr::Module, ty: u32) -> Result<u32, String> {
    use rspirv::dr::Operand;
    use rspirv::spirv::Op;
    let find = |id: u32| {
        module
            .types_global_values
            .iter()
            .find(|i| i.result_id == Some(id))
    };
    let block = find(ty).ok_or("push block type")?;
    let Some(Operand::IdRef(member)) = block.operands.last() else {
        return Err("empty push block".into());
    };
    let member = find(*member).ok_or("push member type")?;
    match (member.class.opcode, member.operands.as_slice()) {
        (Op::TypeInt | Op::TypeFloat, _) => Ok(1),
        (Op::TypeArray, [_, Operand::IdRef(length)]) => {
            match find(*length).and_then(|c| c.operands.first()) {
                Some(Operand::LiteralBit32(n)) => Ok(*n),
                other => Err(format!("array length {other:?}")),
            }
        }
        (op, _) => Err(format!(
            "push constants must be 32-bit scalars, found {op:?}"
        )),
    }
}
