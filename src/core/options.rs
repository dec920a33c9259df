//! What a caller may choose, by option or by environment variable. One table names every key.

use crate::base::error::{Error, Result};
use std::ffi::OsString;
use std::path::PathBuf;

/// A convolution path that the caller insists on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConvChoice {
    /// im2col in tiles of output rows, then GEMM.
    Im2col,
    /// Every output element on its own, without workspace.
    Direct,
    /// GEMM over the input as it lies; only where kernel and stride are 1.
    Pointwise,
    /// One filter per channel; only where groups equal channels.
    Depthwise,
    /// A GEMM that gathers its left operand from the image.
    Implicit,
    /// Winograd's F(4x4, 3x3); only for plain 3x3 of constant 32-bit weights.
    Winograd,
}

/// What holds im2col's columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScratchStorage {
    /// A buffer.
    Buffer,
    /// A 2-D image.
    Texture2d,
    /// A 3-D image.
    Texture3d,
}

impl ScratchStorage {
    /// Its name, as the option `scratch_storage` knows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Buffer => "buffer",
            Self::Texture2d => "texture2d",
            Self::Texture3d => "texture3d",
        }
    }
}

/// What is timed on the GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Nothing.
    Off,
    /// Every dispatch.
    Dispatches,
    /// The copies at the program's edges, and all that lies between them.
    Spans,
}

/// How much [`crate::base::log_sink`] prints.
pub type LogLevel = log::LevelFilter;

/// Everything a caller can choose. Made by [`Options::resolve`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Most device memory that all convolutions together may use as workspace.
    pub workspace_bytes: u64,
    /// The path of every convolution that can take it; `None` lets the planner choose.
    pub conv_algorithm: Option<ConvChoice>,
    /// What holds im2col's columns where it can; `None` lets the planner choose.
    pub scratch_storage: Option<ScratchStorage>,
    /// Most device memory that all delegates of the process may have, as this one checks it; `None`
    /// is no limit.
    pub memory_limit_bytes: Option<u64>,
    /// Index among all enumerated physical devices; `None` takes the best kind.
    pub device_index: Option<u32>,
    /// A device that the host opened and named; `None` opens one.
    pub host_device: Option<u32>,
    /// Whether the device stays open when its last delegate goes.
    pub keep_device: bool,
    /// Whether loading includes a first run.
    pub warm_up: bool,
    /// Whether fp16 tensors take 16 bits on devices that can; else they are 32-bit floats there.
    pub fp16_storage: bool,
    /// Whether the workspace is shared with other delegates on the device that say so.
    pub share_workspace: bool,
    /// Whether passes shorten the graph before it is compiled.
    pub graph_passes: bool,
    /// Run under the Khronos validation layer; its messages become errors.
    pub validation: bool,
    /// Whether each dispatch is timed on the GPU.
    pub profile: Profile,
    /// Whether memory that a run must write before it reads is filled with NaN before each run.
    pub poison: bool,
    /// The file that keeps compiled pipelines from one process to the next, if any.
    pub pipeline_cache: Option<PathBuf>,
    /// How long the device may take for one submission, in milliseconds.
    pub timeout_ms: u64,
    /// Print log records to stderr, for the whole process; `None` leaves it as it is.
    pub log: Option<LogLevel>,
}

/// Workspace budget when nothing is said: what mobile devices were measured to spare.
pub const DEFAULT_WORKSPACE_BYTES: u64 = 16 << 20;

/// How long the device may take when nothing is said: much longer than any inference that somebody
/// waits for, on a CPU too, and short enough for whoever looks after a process that hangs.
pub const DEFAULT_TIMEOUT_MS: u64 = 600_000;

impl Default for Options {
    fn default() -> Self {
        Self {
            workspace_bytes: DEFAULT_WORKSPACE_BYTES,
            conv_algorithm: None,
            scratch_storage: None,
            memory_limit_bytes: None,
            device_index: None,
            host_device: None,
            keep_device: false,
            warm_up: false,
            fp16_storage: true,
            share_workspace: false,
            graph_passes: true,
            validation: false,
            profile: Profile::Off,
            poison: false,
            pipeline_cache: None,
            timeout_ms: DEFAULT_TIMEOUT_MS,
            log: None,
        }
    }
}

/// One option: its key, what it takes, and what it does.
#[derive(Debug)]
pub struct OptionKey {
    /// Key as callers write it; the environment variable is `ETVK_` and this in upper case.
    pub name: &'static str,
    /// The values that it takes, for messages and documents.
    pub allowed: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// Sets the field; `None` when the value is not allowed.
    parse: fn(&mut Options, &str) -> Option<()>,
}

impl OptionKey {
    /// Name of the environment variable.
    pub fn env_name(&self) -> String {
        format!("ETVK_{}", self.name.to_ascii_uppercase())
    }
}

/// Every option.
pub static KEYS: &[OptionKey] = &[
    OptionKey {
        name: "workspace_bytes",
        allowed: "a whole number of bytes",
        doc: "most device memory for the workspace of all convolutions together (16777216)",
        parse: |options, value| {
            options.workspace_bytes = number(value)?;
            Some(())
        },
    },
    OptionKey {
        name: "conv_algorithm",
        allowed: "auto, im2col, direct, pointwise, depthwise, implicit or winograd",
        doc: "path of every convolution that can take it (auto)",
        parse: |options, value| {
            options.conv_algorithm = match value {
                "auto" => None,
                "im2col" => Some(ConvChoice::Im2col),
                "direct" => Some(ConvChoice::Direct),
                "pointwise" => Some(ConvChoice::Pointwise),
                "depthwise" => Some(ConvChoice::Depthwise),
                "implicit" => Some(ConvChoice::Implicit),
                "winograd" => Some(ConvChoice::Winograd),
                _ => return None,
            };
            Some(())
        },
    },
    OptionKey {
        name: "scratch_storage",
        allowed: "auto, buffer, texture2d or texture3d",
        doc: "what holds the columns of im2col, where the device and the budget allow it (auto)",
        parse: |options, value| {
            options.scratch_storage = match value {
                "auto" => None,
                "buffer" => Some(ScratchStorage::Buffer),
                "texture2d" => Some(ScratchStorage::Texture2d),
                "texture3d" => Some(ScratchStorage::Texture3d),
                _ => return None,
            };
            Some(())
        },
    },
    OptionKey {
        name: "memory_limit_bytes",
        allowed: "a whole number of bytes",
        doc: "most device memory of all delegates in the process together: a load or resize of \
              this one that would exceed it fails before it allocates, with what it needs \
              (no limit)",
        parse: |options, value| {
            options.memory_limit_bytes = Some(number(value)?);
            Some(())
        },
    },
    OptionKey {
        name: "keep_device",
        allowed: "0 or 1",
        doc: "keep the device and its pipelines when the last delegate goes, until \
              etvk_release_devices (0)",
        parse: |options, value| {
            options.keep_device = flag(value)?;
            Some(())
        },
    },
    OptionKey {
        name: "warm_up",
        allowed: "0 or 1",
        doc: "run once with zeros at the end of the load, so that the first inference is as fast \
              as the others; not for programs with mutable buffers (0)",
        parse: |options, value| {
            options.warm_up = flag(value)?;
            Some(())
        },
    },
    OptionKey {
        name: "device_index",
        allowed: "a whole number, counted among all Vulkan devices from 0",
        doc: "which device (discrete before integrated, virtual, other and CPU)",
        parse: |options, value| {
            options.device_index = Some(u32::try_from(number(value)?).ok()?);
            Some(())
        },
    },
    OptionKey {
        name: "host_device",
        allowed: "a number that etvk_host_device_add gave",
        doc: "run on a device that the host opened, in place of one of our own; validation is the \
              host's then, and keep_device has no meaning",
        parse: |options, value| {
            options.host_device = Some(u32::try_from(number(value)?).ok()?);
            Some(())
        },
    },
    OptionKey {
        name: "fp16_storage",
        allowed: "0 or 1",
        doc: "keep fp16 tensors in 16 bits where the device can; 0: as 32-bit floats (1)",
        parse: |options, value| {
            options.fp16_storage = flag(value)?;
            Some(())
        },
    },
    OptionKey {
        name: "share_workspace",
        allowed: "0 or 1",
        doc: "one workspace for all delegates that say so and have the same device and \
              workspace_bytes; they never run at the same time on it (0)",
        parse: |options, value| {
            options.share_workspace = flag(value)?;
            Some(())
        },
    },
    OptionKey {
        name: "graph_passes",
        allowed: "0 or 1",
        doc: "fuse activations, additions and decomposed patterns; 0 to compare (1)",
        parse: |options, value| {
            options.graph_passes = flag(value)?;
            Some(())
        },
    },
    OptionKey {
        name: "validation",
        allowed: "0 or 1",
        doc: "run under the Khronos validation layer; each of its messages is an error (0)",
        parse: |options, value| {
            options.validation = flag(value)?;
            Some(())
        },
    },
    OptionKey {
        name: "profile",
        allowed: "0, 1 or spans",
        doc: "time every dispatch on the GPU, for the report; spans: only the copies at the program's \
              edges and all between them, so that dispatches still overlap (0)",
        parse: |options, value| {
            options.profile = match value {
                "0" => Profile::Off,
                "1" => Profile::Dispatches,
                "spans" => Profile::Spans,
                _ => return None,
            };
            Some(())
        },
    },
    OptionKey {
        name: "poison",
        allowed: "0 or 1",
        doc: "fill device memory that a run must write before it reads with NaN before each run, to \
              find kernels that leave elements unwritten (0)",
        parse: |options, value| {
            options.poison = flag(value)?;
            Some(())
        },
    },
    OptionKey {
        name: "pipeline_cache",
        allowed: "a file's path, or nothing",
        doc:
            "keep compiled pipelines in this file: read and written when a program is loaded, and \
              replaced when it is a cache of another device, driver or version; any other file \
              stays as it is (none)",
        parse: |options, value| {
            options.pipeline_cache = (!value.is_empty()).then(|| value.into());
            Some(())
        },
    },
    OptionKey {
        name: "timeout_ms",
        allowed: "a whole number of milliseconds from 1",
        doc: "how long the device may take for one inference or upload; beyond, the call ends with \
              ETVK_STATUS_TIMEOUT and the device counts as lost (600000)",
        parse: |options, value| {
            options.timeout_ms = number(value).filter(|&ms| ms > 0)?;
            Some(())
        },
    },
    OptionKey {
        name: "log",
        allowed: "off, error, warn, info, debug or trace",
        doc: "print log records of at least this level to stderr, for the whole process (off)",
        parse: |options, value| {
            options.log = Some(match value {
                "off" => LogLevel::Off,
                "error" => LogLevel::Error,
                "warn" => LogLevel::Warn,
                "info" => LogLevel::Info,
                "debug" => LogLevel::Debug,
                "trace" => LogLevel::Trace,
                _ => return None,
            });
            Some(())
        },
    },
];

fn flag(value: &str) -> Option<bool> {
    match value {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

/// Decimal digits only: no sign, no blank, no overflow.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

impl Options {
    /// Options from explicit key-value pairs; the environment fills what they leave out.
    /// `environment` looks a variable up, so that tests need not touch the real one.
    pub fn resolve(
        given: &[(&str, &str)],
        environment: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Self> {
        for (i, (name, value)) in given.iter().enumerate() {
            if !KEYS.iter().any(|key| key.name == *name) {
                let known: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
                return Err(Error::argument(format!(
                    "unknown option {name:?} = {value:?}; known are {}",
                    known.join(", ")
                )));
            }
            if given[..i].iter().any(|(earlier, _)| earlier == name) {
                return Err(Error::argument(format!("option {name:?} is given twice")));
            }
        }
        let mut options = Self::default();
        for key in KEYS {
            let explicit = given.iter().find(|(name, _)| *name == key.name);
            let (place, value) = match (explicit, environment(&key.env_name())) {
                (Some((name, value)), _) => (format!("option {name}"), (*value).to_owned()),
                (None, Some(value)) => (key.env_name(), value.to_string_lossy().into_owned()),
                (None, None) => continue,
            };
            (key.parse)(&mut options, &value).ok_or_else(|| {
                Error::argument(format!("{place} is {value:?}, expected {}", key.allowed))
            })?;
        }
        Ok(options)
    }

    /// [`Options::resolve`] with the process's environment.
    pub fn from_environment(given: &[(&str, &str)]) -> Result<Self> {
        Self::resolve(given, &|name| std::env::var_os(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::ErrorKind;

    fn resolve(given: &[(&str, &str)], environment: &[(&str, &str)]) -> Result<Options> {
        Options::resolve(given, &|name| {
            environment
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| OsString::from(v))
        })
    }

    #[test]
    fn explicit_beats_environment_beats_default() {
        let defaults = resolve(&[], &[]).expect("defaults");
        assert_eq!(defaults, Options::default());
        assert_eq!(defaults.workspace_bytes, 16 * 1024 * 1024);
        let env = [
            ("ETVK_WORKSPACE_BYTES", "100"),
            ("ETVK_CONV_ALGORITHM", "im2col"),
        ];
        let from_env = resolve(&[], &env).expect("environment");
        assert_eq!(from_env.workspace_bytes, 100);
        assert_eq!(from_env.conv_algorithm, Some(ConvChoice::Im2col));
        let both = resolve(&[("workspace_bytes", "7")], &env).expect("both");
        assert_eq!(both.workspace_bytes, 7);
        assert_eq!(both.conv_algorithm, Some(ConvChoice::Im2col));
        let auto = resolve(&[("conv_algorithm", "auto")], &env).expect("auto");
        assert_eq!(auto.conv_algorithm, None);
    }

    #[test]
    fn every_wrong_value_names_itself_and_what_is_allowed() {
        let wrong = [
            ("workspace_bytes", "16M"),
            ("workspace_bytes", "-1"),
            ("workspace_bytes", "+1"),
            ("workspace_bytes", ""),
            ("workspace_bytes", "18446744073709551616"),
            ("conv_algorithm", "IM2COL"),
            ("scratch_storage", "texture"),
            ("device_index", "4294967296"),
            ("memory_limit_bytes", "1.5"),
            ("keep_device", "true"),
            ("warm_up", "2"),
            ("validation", "yes"),
            ("log", "loud"),
        ];
        for (name, value) in wrong {
            let key = KEYS.iter().find(|k| k.name == name).expect("known");
            let env_name = key.env_name();
            for error in [
                resolve(&[(name, value)], &[]),
                resolve(&[], &[(&env_name, value)]),
            ] {
                let error = error.expect_err(value);
                assert_eq!(error.kind, ErrorKind::InvalidArgument);
                let message = error.message.to_lowercase();
                assert!(message.contains(name), "{message}");
                assert!(error.message.contains(&format!("{value:?}")), "{message}");
                assert!(error.message.contains(key.allowed), "{message}");
            }
        }
    }

    #[test]
    fn unknown_and_repeated_keys_are_errors() {
        let unknown = resolve(&[("workspace", "1")], &[]).expect_err("unknown");
        assert_eq!(unknown.kind, ErrorKind::InvalidArgument);
        assert!(unknown.message.contains("\"workspace\"") && unknown.message.contains("\"1\""));
        assert!(
            unknown.message.contains("workspace_bytes"),
            "{}",
            unknown.message
        );
        let twice = [("validation", "1"), ("validation", "1")];
        assert!(resolve(&twice, &[])
            .expect_err("twice")
            .message
            .contains("twice"));
    }

    #[test]
    fn an_overridden_wrong_environment_value_does_no_harm() {
        let env = [("ETVK_VALIDATION", "maybe")];
        assert!(resolve(&[("validation", "0")], &env).is_ok());
        assert!(resolve(&[], &env).is_err());
    }
}
