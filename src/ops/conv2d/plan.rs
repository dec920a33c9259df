//! The convolution planner: which algorithm, which tiles, how much workspace. Pure and total:
//! sizes come from untrusted programs, so all arithmetic is checked or wide enough.

mod scratch;
mod winograd;

pub(super) use winograd::{quads_per_part, regions as winograd_regions, WinogradTile};

use super::tile::{Tile, Units};
use crate::base::error::{Error, Result};
use crate::core::constraints::Constraints;
use crate::core::conv::{ConvAlgorithm, ConvGeometry, ConvPlan, WeightSource};
use crate::core::device::{DeviceClass, DeviceLimits, ImageSizes};
use crate::core::image::ImageShape;
use crate::core::options::ConvChoice;
use crate::core::tensor::{Element, CHANNEL_PACK};
use std::cell::RefCell;

/// Below this many multiply-adds the second dispatch of im2col and the barrier before it cost more
/// than the GEMM saves: a dispatch takes microseconds, and so does this much arithmetic done badly.
const IM2COL_MIN_MACS: u64 = 1 << 20;

/// With at most this many outputs per group one Direct invocation reads each input once for all of
/// them; im2col would write and read it once more for nothing.
const DIRECT_MAX_OUTPUTS_PER_GROUP: u32 = 4;

/// From this K on, matrix units pay for any number of outputs. On an H200 the last convolution of
/// DnCNN, 64 -> 1 at 512x512, takes 197 microseconds done directly.
const IDLE_MATRICES_MIN_K: u64 = 256;

/// A group's K below this gives the GEMM too few steps per output to pay for the columns.
const IM2COL_MIN_GROUPED_K: u64 = 32;

/// More tiles than this are only launch overhead: a budget that small is served by Direct, whose
/// sums run in the same order and give the same bits. It also bounds the length of a program.
pub const MAX_TILES: u64 = 2048;

/// Chooses the algorithm of a convolution.
pub fn plan_conv2d(
    geometry: &ConvGeometry,
    weight: WeightSource,
    element: Element,
    constraints: &Constraints,
    images: &dyn ImageSizes,
) -> Result<ConvPlan> {
    geometry.validate()?;
    let candidates = Candidates {
        geometry,
        weight,
        element,
        limits: &constraints.limits,
        constraints,
        images: Images::new(images),
    };
    let (algorithm, reason) = match constraints.conv_algorithm {
        None => candidates.choose(),
        Some(choice) => candidates.forced(choice),
    };
    candidates.images.answered()?;
    let workspace_bytes = match algorithm {
        ConvAlgorithm::Im2col {
            image: Some(image), ..
        } => images.allocation_bytes(image)?.unwrap_or(u64::MAX),
        ConvAlgorithm::Im2col {
            h_out_tile,
            w_out_tile,
            image: None,
        } => candidates
            .columns_bytes(u64::from(h_out_tile) * u64::from(w_out_tile))
            .unwrap_or(0),
        ConvAlgorithm::Implicit { parts, pixels_tile } => candidates
            .sums_bytes(parts, pixels_tile.into())
            .unwrap_or(0),
        ConvAlgorithm::Winograd {
            parts: parts @ 2..,
            together: true,
        } => candidates
            .sums_bytes(parts, geometry.pixels_out())
            .unwrap_or(0),
        _ => 0,
    };
    Ok(ConvPlan {
        algorithm,
        workspace_bytes,
        moved_bytes: candidates.moved_bytes(algorithm),
        reason,
    })
}

type Choice = (ConvAlgorithm, String);

/// What the driver says of images, asked in the middle of a choice: where it fails to answer, the
/// choice is thrown away.
struct Images<'a> {
    sizes: &'a dyn ImageSizes,
    failure: RefCell<Option<Error>>,
}

impl<'a> Images<'a> {
    fn new(sizes: &'a dyn ImageSizes) -> Self {
        let failure = RefCell::new(None);
        Self { sizes, failure }
    }

    fn allocation_bytes(&self, image: ImageShape) -> Option<u64> {
        self.sizes.allocation_bytes(image).unwrap_or_else(|error| {
            self.failure.borrow_mut().get_or_insert(error);
            None
        })
    }

    /// Why the driver did not answer, if that has happened.
    fn answered(&self) -> Result<()> {
        self.failure.take().map_or(Ok(()), Err)
    }
}

struct Candidates<'a> {
    geometry: &'a ConvGeometry,
    weight: WeightSource,
    element: Element,
    limits: &'a DeviceLimits,
    constraints: &'a Constraints,
    images: Images<'a>,
}

impl Candidates<'_> {
    fn choose(&self) -> Choice {
        let g = self.geometry;
        if let Ok(choice) = self.depthwise() {
            return choice;
        }
        // Before anything that depends on the image's present size.
        if self.winograd_unasked() {
            if let Ok(choice) = self.winograd() {
                return choice;
            }
        }
        // CPUs gather no faster than they copy, and their registers hold the tiles.
        let gathers = self.limits.class != DeviceClass::Cpu;
        if !gathers {
            if let Ok(choice) = self.pointwise() {
                return choice;
            }
        }
        let (per_group_in, per_group_out) = (g.c_in / g.groups, g.c_out / g.groups);
        let direct = |reason: String| (ConvAlgorithm::Direct, reason);
        if g.transposed {
            return direct("transposed: gathered, no columns to build".into());
        }
        // Matrix units that stand mostly idle still outrun Direct where K is long.
        let matrices = self.element == Element::F16 && self.limits.matrix_16x16;
        let idle = matrices && g.groups == 1 && g.k() >= IDLE_MATRICES_MIN_K;
        if per_group_out <= DIRECT_MAX_OUTPUTS_PER_GROUP && !idle {
            return direct(format!(
                "{per_group_out} outputs per group: columns would be read once"
            ));
        }
        if g.groups > 1 && g.k() < IM2COL_MIN_GROUPED_K {
            return direct(format!(
                "{per_group_in} inputs per group: K = {} is below {IM2COL_MIN_GROUPED_K}",
                g.k()
            ));
        }
        let macs = g.macs();
        if macs < IM2COL_MIN_MACS {
            return direct(format!(
                "{macs} multiply-adds do not pay for two dispatches"
            ));
        }
        if gathers {
            if let Ok(choice) = self.implicit() {
                return choice;
            }
        }
        self.im2col().unwrap_or_else(direct)
    }

    fn forced(&self, choice: ConvChoice) -> Choice {
        let wanted = match choice {
            ConvChoice::Direct => Ok((ConvAlgorithm::Direct, String::new())),
            ConvChoice::Im2col => self.im2col(),
            ConvChoice::Pointwise => self.pointwise(),
            ConvChoice::Depthwise => self.depthwise(),
            ConvChoice::Implicit => self.implicit(),
            ConvChoice::Winograd => self.winograd(),
        };
        match wanted {
            Ok((algorithm, reason)) => {
                let asked = "asked for by the option conv_algorithm";
                let reason = match algorithm {
                    ConvAlgorithm::Im2col { .. }
                    | ConvAlgorithm::Implicit { .. }
                    | ConvAlgorithm::Winograd { .. } => {
                        format!("{asked}; {reason}")
                    }
                    _ => asked.into(),
                };
                (algorithm, reason)
            }
            Err(why) => {
                // Where the columns fit no budget: Direct sums as im2col's GEMM does, bit by bit.
                let (algorithm, reason) = match choice {
                    ConvChoice::Im2col => (ConvAlgorithm::Direct, "direct sums alike".into()),
                    _ => self.choose(),
                };
                let name = format!("{choice:?}").to_lowercase();
                (algorithm, format!("{name} asked, but {why}; {reason}"))
            }
        }
    }

    fn pointwise(&self) -> std::result::Result<Choice, String> {
        let g = self.geometry;
        let plain = g.kernel == [1, 1] && g.stride == [1, 1] && g.padding == [0, 0];
        if g.transposed || !plain {
            return Err("not a plain 1x1".into());
        }
        // A GEMM per channel is no GEMM.
        if g.groups > 1 && g.c_out / g.groups <= DIRECT_MAX_OUTPUTS_PER_GROUP {
            return Err("too few outputs per group for a GEMM".into());
        }
        if g.groups > self.limits.max_workgroup_count[2] {
            return Err(format!("{} groups exceed the device", g.groups));
        }
        Ok((
            ConvAlgorithm::Pointwise,
            "1x1, stride 1, no padding: the input is the GEMM's operand".into(),
        ))
    }

    fn depthwise(&self) -> std::result::Result<Choice, String> {
        let g = self.geometry;
        if g.transposed || g.groups != g.c_in || g.c_out != g.c_in || g.groups == 1 {
            return Err("groups, inputs and outputs are not equal".into());
        }
        Ok((
            ConvAlgorithm::Depthwise,
            "one input and one output per group".into(),
        ))
    }

    fn implicit(&self) -> std::result::Result<Choice, String> {
        let g = self.geometry;
        if g.transposed {
            return Err("transposed convolutions are gathered otherwise".into());
        }
        if g.groups > 1 && g.group_out() % CHANNEL_PACK != 0 {
            return Err("groups share quads of outputs".into());
        }
        let (tile, parts) = Tile::choose(g, self.element, self.limits);
        if u64::from(g.groups) * u64::from(parts) > self.limits.max_workgroup_count[2].into() {
            return Err(format!("{} groups exceed the device", g.groups));
        }
        let pixels_tile = match parts {
            1 => 0,
            _ => self.pixels_tile(tile, parts),
        };
        let how = match (parts, u64::from(pixels_tile)) {
            (1, _) => "no columns".into(),
            (_, 0) => format!("{parts} parts of K in turn: the budget holds no sums"),
            (_, tile) if tile >= g.pixels_out() => format!("{parts} parts of K"),
            (_, tile) => {
                let tiles = g.pixels_out().div_ceil(tile);
                format!("{parts} parts of K, whose sums fit the budget in {tiles} tiles")
            }
        };
        let gathers = match tile.units {
            Units::Patches => "GEMM that gathers from patches in shared memory",
            Units::Invocations | Units::Matrices => "GEMM that gathers",
        };
        let reason = format!("K = {}: {gathers}, {how}", g.k());
        Ok((ConvAlgorithm::Implicit { parts, pixels_tile }, reason))
    }

    /// Most output pixels, in tiles of nearly equal size, whose sums of `parts` parts of K fit the
    /// budget; of patches all or none. 0 when that takes more tiles than parts: then as many workgroups
    /// run side by side when each sums its parts in turn.
    fn pixels_tile(&self, tile: Tile, parts: u32) -> u32 {
        let pixels = self.geometry.pixels_out();
        let most = self.most_bytes();
        let most = most.min(self.limits.max_storage_buffer_range_bytes);
        let fits = |&pixels: &u64| {
            let bytes = self.sums_bytes(parts, pixels);
            bytes.is_some_and(|bytes| bytes <= most)
        };
        let tile_m = u64::from(tile.tile_m);
        let of_count = |count: u64| match count {
            1 => pixels,
            _ => pixels.div_ceil(count).next_multiple_of(tile_m),
        };
        let most_tiles = match tile.units {
            Units::Patches => 1,
            Units::Invocations | Units::Matrices => parts,
        };
        let found = (1..=most_tiles.into()).map(of_count).find(fits);
        found.map_or(0, |pixels| u32::try_from(pixels).unwrap_or(0))
    }

    /// Workspace for the sums of `parts` parts of K for `pixels` outputs, in 32 bits.
    fn sums_bytes(&self, parts: u32, pixels: u64) -> Option<u64> {
        let row = u64::from(self.geometry.c_out).next_multiple_of(CHANNEL_PACK.into());
        pixels
            .checked_mul(row)?
            .checked_mul(4 * u64::from(parts))
            .and_then(|bytes| self.constraints.budget.rounded_up(bytes))
    }

    /// Tiles whose columns fit the budget: whole rows of output, else parts of one row.
    fn im2col(&self) -> std::result::Result<Choice, String> {
        let g = self.geometry;
        if g.transposed {
            return Err("transposed convolutions are gathered".into());
        }
        if g.groups > self.limits.max_workgroup_count[2] {
            return Err(format!("{} groups exceed the device", g.groups));
        }
        let tiling = self.tiling()?;
        let tiles = match tiling.count {
            count if count == u64::from(g.n) => "an image at a time".into(),
            count => format!("{count} tiles fit the budget"),
        };
        let reason = format!("K = {}: im2col and GEMM, {tiles}; {}", g.k(), tiling.reason);
        let algorithm = ConvAlgorithm::Im2col {
            h_out_tile: tiling.h_out_tile,
            w_out_tile: tiling.w_out_tile,
            image: tiling.image,
        };
        Ok((algorithm, reason))
    }

    /// Workspace for the columns of `pixels` outputs, of all groups.
    fn columns_bytes(&self, pixels: u64) -> Option<u64> {
        self.geometry
            .columns_per_pixel()
            .checked_mul(pixels)?
            .checked_mul(self.element.size_bytes())
            .and_then(|bytes| self.constraints.budget.rounded_up(bytes))
    }

    fn moved_bytes(&self, algorithm: ConvAlgorithm) -> u64 {
        let g = self.geometry;
        let (scratch, weight) = match algorithm {
            ConvAlgorithm::Im2col { .. } => {
                let columns = g.columns_per_pixel().saturating_mul(g.pixels_out());
                (columns.saturating_mul(2), g.elements_weight())
            }
            ConvAlgorithm::Winograd { .. } => (0, self.winograd_weight_elements()),
            _ => (0, g.elements_weight()),
        };
        scratch
            .saturating_add(g.elements_in())
            .saturating_add(g.elements_out())
            .saturating_add(weight)
            .saturating_mul(self.element.size_bytes())
    }
}
