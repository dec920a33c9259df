//! Compiles every `shaders/*.comp` to SPIR-V and writes `shaders.rs`, an enum of the kernels and a table
//! of their code and interfaces, and `kernels.rs`, by which Rust calls them: named push and
//! specialization constants, named bindings, and what both languages must know alike.
//!
//! GLSL is where an interface is written down. `build/glsl.rs` says which pragmas it may hold.

#[path = "build/emit.rs"]
mod emit;
#[path = "build/glsl.rs"]
mod glsl;
#[path = "build/interface.rs"]
mod interface;
#[path = "build/reflect.rs"]
mod reflect;

use emit::{Family, Shader};
use glsl::{camel, Declared};
use glslang::{
    include::{IncludeHandler, IncludeResult, IncludeType},
    Compiler, CompilerOptions, ShaderInput, ShaderSource, ShaderStage, SourceLanguage,
    SpirvVersion, Target, VulkanVersion,
};
use interface::{BindingKind, Interface};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

const LIB: &str = "shaders/lib";
/// What kernels on matrix units include.
const MATRICES: &str = "matrix.glsl";

fn main() {
    println!("cargo:rerun-if-changed=shaders");
    if let Err(message) = run() {
        eprintln!("{message}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), String> {
    let out = PathBuf::from(env::var("OUT_DIR").map_err(|e| e.to_string())?);
    let mut families = Vec::new();
    for file in files("shaders", "comp")? {
        families.extend(compiled(&file, &out)?);
    }
    let mut lib = Vec::new();
    for file in files(LIB, "glsl")? {
        lib.push(declared(&file)?);
    }
    write(&out.join("kernels.rs"), emit::kernels(&families, &lib)?)?;
    write(&out.join("shaders.rs"), table(&families))
}

/// In the order of their names.
fn files(folder: &str, extension: &str) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| format!("{folder}: {e}"))? {
        let path = entry.map_err(|e| format!("{folder}: {e}"))?.path();
        if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))
}

fn write(file: &Path, contents: impl AsRef<[u8]>) -> Result<(), String> {
    fs::write(file, contents).map_err(|e| format!("{}: {e}", file.display()))
}

fn declared(file: &Path) -> Result<Declared, String> {
    glsl::scan(&read(file)?).map_err(|e| format!("{}: {e}", file.display()))
}

/// What is included by `of`, directly or not, once each.
fn included(of: &Declared) -> Result<Vec<Declared>, String> {
    let mut names = of.includes.clone();
    let mut found: Vec<Declared> = Vec::new();
    while let Some(name) = names.get(found.len()) {
        let next = declared(&Path::new(LIB).join(name))?;
        for name in &next.includes {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        found.push(next);
    }
    Ok(found)
}

/// The families of one file, whose variants' code is left in `out`.
fn compiled(file: &Path, out: &Path) -> Result<Vec<Family>, String> {
    let in_file = |e: String| format!("{}: {e}", file.display());
    let source = read(file)?;
    let own = declared(file)?;
    let included = included(&own)?;
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    interface::check_name(&stem, "the file").map_err(in_file)?;
    if own.variants.is_empty() {
        return Err(in_file("no #pragma variants".into()));
    }
    let mut families = Vec::new();
    for group in &own.variants {
        let mut shaders: Vec<Shader> = Vec::new();
        let mut agreed: Option<Interface> = None;
        for variant in &group.variants {
            let name = [&*stem, &group.group, &variant.name].map(camel).concat();
            let spirv = compile(&source, &variant.defines)
                .map_err(|e| in_file(format!("{:?}: {e}", variant.defines)))?;
            let interface = reflect::reflect(&spirv)
                .map_err(|e| in_file(format!("variant {}: {e}", variant.name)))?;
            let first = agreed.get_or_insert_with(|| interface.clone());
            if let (Some(what), Some(other)) = (first.difference(&interface), shaders.first()) {
                return Err(in_file(format!(
                    "variants {} and {} differ in {what}; such have lines of their own, \
                     #pragma variants(NAME) ...",
                    other.variant.name, variant.name
                )));
            }
            let bytes: Vec<u8> = spirv.iter().flat_map(|word| word.to_le_bytes()).collect();
            write(&out.join(format!("{name}.spv")), bytes)?;
            if own.includes.iter().any(|name| name == MATRICES) {
                emulate(&source, variant, &interface, out, &name).map_err(in_file)?;
            }
            let variant = variant.clone();
            let kinds = interface.bindings.iter().map(|b| b.kind).collect();
            shaders.push(Shader {
                variant,
                name,
                kinds,
            });
        }
        families.push(Family {
            stem: stem.to_string(),
            group: group.group.clone(),
            variants: shaders,
            interface: agreed.ok_or_else(|| in_file("a line of no variants".into()))?,
            own: own.clone(),
            included: included.clone(),
        });
    }
    Ok(families)
}

/// Leaves the variant with its matrix operations written out beside the others. Tests run it on devices
/// without matrix units; the library does not hold it.
fn emulate(
    source: &str,
    variant: &glsl::Variant,
    interface: &Interface,
    out: &Path,
    name: &str,
) -> Result<(), String> {
    let mut defines = variant.defines.clone();
    defines.push("EMULATED".to_owned());
    let spirv = compile(source, &defines).map_err(|e| format!("{defines:?}: {e}"))?;
    if let Some(what) = interface.difference(&reflect::reflect(&spirv)?) {
        return Err(format!("{defines:?} differs in {what}"));
    }
    let bytes: Vec<u8> = spirv.iter().flat_map(|word| word.to_le_bytes()).collect();
    write(&out.join(format!("{name}.emulated.spv")), bytes)
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
        let data = fs::read_to_string(Path::new(LIB).join(name)).ok()?;
        Some(IncludeResult {
            name: name.to_owned(),
            data,
        })
    }
}

fn compile(source: &str, defines: &[String]) -> Result<Vec<u32>, String> {
    let compiler = Compiler::acquire().ok_or("glslang does not start")?;
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
    .map_err(|e| e.to_string())
}

/// The enum of all variants, and what each is.
fn table(families: &[Family]) -> String {
    let (mut variants, mut infos) = (String::new(), String::new());
    for family in families {
        let interface = &family.interface;
        let kind = |kind: &BindingKind| match kind {
            BindingKind::Buffer => "BindingKind::Buffer",
            BindingKind::Image => "BindingKind::Image",
        };
        let names: Vec<_> = interface.bindings.iter().map(|b| &b.name).collect();
        let spec: Vec<_> = interface
            .constants
            .iter()
            .map(|c| c.name.to_lowercase())
            .collect();
        let mut push = String::new();
        for leaf in interface.push.leaves() {
            let (path, first, words) = (leaf.path, leaf.first_word, leaf.words);
            let _ = write!(
                push,
                "PushMember {{ name: {path:?}, words: {first}..{} }}, ",
                first + words
            );
        }
        for shader in &family.variants {
            let Shader {
                variant,
                name,
                kinds,
            } = shader;
            let kinds: Vec<_> = kinds.iter().map(kind).collect();
            let (stem, defines) = (&family.stem, &variant.defines);
            let full = format!("{}_{}", family.module(), variant.name);
            let _ = writeln!(
                variants,
                "    /// `shaders/{stem}.comp` {defines:?}\n    {name},"
            );
            let _ = writeln!(
                infos,
                "    ShaderInfo {{ name: {full:?}, file: {stem:?}, bindings: &[{}], \
                 binding_names: &{names:?}, push_words: {}, push: &[{push}], spec_constants: {}, \
                 spec: &{spec:?}, \
                 spirv: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}.spv\")) }},",
                kinds.join(", "),
                interface.push.words(),
                interface.constants.len() + 3,
            );
        }
    }
    format!(
        "/// A kernel. The numbers are indices into the table of [`Shader::info`].\n\
         #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]\n\
         pub enum Shader {{\n{variants}}}\n\nstatic INFOS: &[ShaderInfo] = &[\n{infos}];\n"
    )
}
