//! The interfaces of kernels: what the build makes of shaders, and that Rust's words land where the
//! names of GLSL say.

// The build script's own files.
#[path = "../shaders/build/emit.rs"]
#[allow(dead_code, reason = "the build uses more of it")]
mod emit;
#[path = "../shaders/build/glsl.rs"]
#[allow(dead_code, reason = "the build uses more of it")]
mod glsl;
#[path = "../shaders/build/interface.rs"]
#[allow(dead_code, reason = "the build uses more of it")]
mod interface;
#[path = "../shaders/build/reflect.rs"]
mod reflect;

#[path = "kernels/build.rs"]
mod build;
#[path = "kernels/spirv.rs"]
mod spirv;

use etvk::core::kernels::lib::{Activation, Narrow, Window};
use etvk::core::kernels::{conv2d_implicit, copy, fill, lib, norm, KernelCall, Words};
use etvk::core::shader::{Shader, ShaderInfo};
use etvk::core::tensor::Element;

#[test]
fn every_word_has_one_name() {
    for (_, info) in Shader::all() {
        let mut next = 0;
        for member in info.push {
            assert_eq!(member.words.start, next, "{}: {member:?}", info.name);
            assert!(member.words.end > next, "{}: {member:?}", info.name);
            next = member.words.end;
        }
        assert_eq!(next, info.push_words as usize, "{}", info.name);
        assert_eq!(info.spec.len() + 3, info.spec_constants, "{}", info.name);
        assert_eq!(info.bindings.len(), info.binding_names.len());
        let push: Vec<_> = info.push.iter().map(|member| member.name).collect();
        for names in [&push[..], info.spec, info.binding_names] {
            let mut distinct = names.to_vec();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(distinct.len(), names.len(), "{}: {names:?}", info.name);
        }
    }
}

/// The words of `name` among push constants.
fn push_of<'a>(info: &ShaderInfo, words: &'a [u32], name: &str) -> &'a [u32] {
    assert_eq!(words.len(), info.push_words as usize, "{}", info.name);
    let at = info.push_words_of(name);
    &words[at.unwrap_or_else(|| panic!("{} has no {name}", info.name))]
}

/// The word of `name` among specialization constants.
fn spec_of(info: &ShaderInfo, words: &[u32], name: &str) -> u32 {
    assert_eq!(words.len(), info.spec.len(), "{}", info.name);
    let at = info.spec.iter().position(|n| *n == name);
    words[at.unwrap_or_else(|| panic!("{} has no {name}", info.name))]
}

fn window<const N: usize>(first: i32) -> Window<N> {
    Window {
        offset: first,
        strides: std::array::from_fn(|i| first + 1 + i as i32),
    }
}

#[test]
fn windows_land_where_their_names_say() {
    let call = copy::Call {
        variant: copy::Variant::Half,
        spec: copy::Spec {
            rank: 5,
            source: Element::F16,
            target: Element::I32,
            narrow: Narrow::I8,
        },
        push: copy::Push {
            count: 7,
            sizes: [11, 12, 13, 14, 15, 16, 17, 18],
            source: window(-20),
            target: window(40),
        },
        bindings: copy::Bindings {
            source: "source",
            target: "target",
        },
    };
    assert_eq!(call.shader(), Shader::CopyHalf);
    let (info, push, spec) = (call.shader().info(), call.push(), call.spec());
    assert_eq!(push_of(info, &push, "count"), [7]);
    assert_eq!(
        push_of(info, &push, "sizes"),
        [11, 12, 13, 14, 15, 16, 17, 18]
    );
    assert_eq!(push_of(info, &push, "source.offset"), [-20i32 as u32]);
    let strides = push_of(info, &push, "target.strides");
    assert_eq!(strides, [41, 42, 43, 44, 45, 46, 47, 48]);
    assert_eq!(spec_of(info, &spec, "rank"), 5);
    assert_eq!(spec_of(info, &spec, "source"), 1);
    assert_eq!(spec_of(info, &spec, "target"), 2);
    assert_eq!(spec_of(info, &spec, "narrow"), 3);
    assert_eq!(call.into_bindings(), info.binding_names);
}

#[test]
fn shared_structs_and_groups_land_where_their_names_say() {
    let w = lib::ConvWindow {
        h_in: 1,
        w_in: 2,
        h_out: 3,
        w_out: 4,
        kernel_h: 5,
        kernel_w: 6,
        stride_h: 7,
        stride_w: 8,
        padding_h: 9,
        padding_w: 10,
        dilation_h: 11,
        dilation_w: 12,
    };
    let call = conv2d_implicit::Call {
        variant: conv2d_implicit::Variant::SerialF32,
        spec: conv2d_implicit::Spec {
            pixels: 8,
            epilogue_steps: lib::EpilogueSteps {
                bias: true,
                activation: Activation::Prelu,
                residual: false,
                last_activation: Activation::Tanh,
            },
            tile_m: 64,
            tile_n4: 16,
            tile_k4: 4,
            thread_n4: 1,
            vectors: lib::Vectors::Padded,
            k_channels: 4,
            kernel_w: 1,
        },
        push: lib::Gather {
            pixel_first: 21,
            pixel_end: 22,
            columns: 23,
            k: 24,
            k_part: 25,
            group_in: 26,
            pixel_in: 27,
            pixel_out: 28,
            groups: 29,
            quads_k: 30,
            window: w,
            parameters: lib::EpilogueParameters {
                activation_p: 0.5,
                activation_q: 0.25,
                last_p: -1.0,
                last_q: 2.0,
            },
        },
        bindings: lib::ConvOperands {
            x: "x",
            weight: "weight",
            y: "y",
            bias: "bias",
            slope: "slope",
            residual: "residual",
        },
    };
    let (info, push, spec) = (call.shader().info(), call.push(), call.spec());
    assert_eq!(push_of(info, &push, "k_part"), [25]);
    assert_eq!(push_of(info, &push, "window.kernel_w"), [6]);
    assert_eq!(push_of(info, &push, "window.dilation_h"), [11]);
    let last_p = push_of(info, &push, "parameters.last_p");
    assert_eq!(last_p, [(-1.0f32).to_bits()]);
    assert_eq!(spec_of(info, &spec, "bias"), 1);
    assert_eq!(spec_of(info, &spec, "activation"), 8);
    assert_eq!(spec_of(info, &spec, "residual"), 0);
    assert_eq!(spec_of(info, &spec, "last_activation"), 6);
    assert_eq!(spec_of(info, &spec, "vectors"), 2);
    // 64x4 of A, a quad more per row, and 16x16 of B; two of each.
    let tiles = 2 * (64 * 5 + 16 * 16) * 16;
    assert_eq!((call.shared_bytes(), call.threads()), (tiles, Some(128)));
    assert_eq!(call.into_bindings(), info.binding_names);
}

#[test]
fn numbers_and_bits_are_those_of_the_shader() {
    // Bits of floats in words, a struct before them.
    let push = fill::Push {
        count: 1,
        sizes: [1; 8],
        target: window(0),
        start: 1.5f32.to_bits(),
        start_low: 2,
        step_by: 3,
        step_low: 4,
    };
    let info = Shader::FillPlain.info();
    assert_eq!(push_of(info, &push.words(), "start"), [0x3fc0_0000]);
    assert_eq!(push_of(info, &push.words(), "step_low"), [4]);
    let bits = [norm::HAS_WEIGHT, norm::HAS_BIAS, norm::HAS_STATISTICS];
    assert_eq!(bits, [1, 2, 4]);
    // Numbers that programs of other builds may hold in files stay what they are.
    assert_eq!(
        [Element::F32, Element::F16, Element::I32].map(|e| e as u32),
        [0, 1, 2]
    );
    let activations: Vec<u32> = Activation::ALL.iter().map(|a| *a as u32).collect();
    assert_eq!(activations, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
}
