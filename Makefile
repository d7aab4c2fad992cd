# For people and CI: what there is to do with this repository. Every target works in a fresh clone,
# installs what it needs where that is missing (Debian), and needs nothing but Swift besides.

SHELL = /bin/bash
PREFIX ?= /usr/local
DESTDIR ?=
SWIFT ?= swift
# Seconds each fuzz target runs in `make fuzz`; frames in `make fuzz-frames`; where random choices
# begin, and packets in the capture of `make bench`.
SECONDS ?= 60
COUNT ?= 10000000
SEED ?= 1
PACKETS ?= 1000000

build_packages = libpcap-dev zlib1g-dev libnetfilter-conntrack-dev libmnl-dev \
	libxdp-dev libbpf-dev
test_packages = $(build_packages) iproute2 iptables nftables conntrack ethtool procps \
	curl nginx-light bind9-dnsutils dnsmasq-base iperf3 iputils-ping traceroute nmap netcat-openbsd \
	mtr-tiny openssh-server openssh-client python3-minimal

# Across modules the optimizer gains a replay an eighth (measured with `make bench`).
release = $(SWIFT) build -c release -Xswiftc -cross-module-optimization
# What is installed needs no Swift on the machine it runs on.
ifeq ($(shell uname -s),Linux)
release += --static-swift-stdlib
endif
sources = Sources Tests Fuzz Benchmarks Package.swift
# What libFuzzer watches is compiled apart. SANITIZERS=fuzzer,address also watches memory, at a tenth
# of the speed.
SANITIZERS ?= fuzzer
fuzzing = $(SWIFT) build -c release --scratch-path .build/fuzzing --sanitize fuzzer \
	-Xswiftc -sanitize=$(SANITIZERS) -Xswiftc -parse-as-library -Xswiftc -DLIBFUZZER
fuzz_targets = frames capture ruleset timeouts control neighbours

.PHONY: help run build test lint format conformance fuzz fuzz-frames bench bench-parts bench-brief plot install uninstall clean
help:
	@echo "make run       build, and replay Examples/home-router"
	@echo "make test      lint and all tests"
	@echo "make lint      style alone"
	@echo "make conformance  PACKETS=10000 (SEED=, ONLY=tcp,nat) to this kernel and Weir, as root"
	@echo "make fuzz      libFuzzer on every fuzz target, SECONDS=$(SECONDS) each"
	@echo "make fuzz-frames  COUNT=$(COUNT) random and mutated frames through the firewall"
	@echo "make bench     time the replay of PACKETS=$(PACKETS) packets"
	@echo "make bench-parts  time the engine's parts (ONLY='classifier.*'; BRIEF=1 only runs them)"
	@echo "make bench-brief  run every benchmark for a moment: whether it still works, not how fast"
	@echo "make plot      measure anew, and draw docs/performance.svg"
	@echo "make install   the weir command into PREFIX=$(PREFIX)"

run: build
	$$($(release) --show-bin-path)/weir replay Examples/home-router/capture.pcapng \
		--host Examples/home-router/host --table

build:
	@scripts/install-missing "the build" $(build_packages)
	$(release) --product weir

lint:
	$(SWIFT) format lint --strict -r $(sources)

format:
	$(SWIFT) format -i -r $(sources)

test: lint
	@scripts/install-missing "the tests" $(test_packages)
	$(SWIFT) build --build-tests
	$(SWIFT) test --skip-build --skip KernelConformance
# By itself, since it measures time.
	$(SWIFT) test --skip-build --filter KernelConformance

# New inputs gather in .build/fuzz-corpus; what makes a target fail lies beside it (docs/fuzzing.md).
fuzz:
	@scripts/install-missing "fuzzing" $(build_packages)
	$(fuzzing) --product weir-fuzz
	for target in $(fuzz_targets); do \
	  mkdir -p .build/fuzz-corpus/$$target && \
	  WEIR_FUZZ_TARGET=$$target SWIFT_BACKTRACE=enable=no \
	    $$($(fuzzing) --show-bin-path)/weir-fuzz -max_total_time=$(SECONDS) -timeout=20 \
	    -max_len=4096 -artifact_prefix=.build/fuzz-corpus/$$target- -print_final_stats=1 \
	    .build/fuzz-corpus/$$target Fuzz/Corpus/$$target || exit 1; \
	done

fuzz-frames:
	@scripts/install-missing "fuzzing" $(build_packages)
	$(release) --product weir-fuzz
	$$($(release) --show-bin-path)/weir-fuzz frames $(COUNT) $(SEED)

bench: build
	$(release) --product make-capture
	$$($(release) --show-bin-path)/make-capture $(PACKETS) .build/bench.pcapng
	time -p $$($(release) --show-bin-path)/weir replay .build/bench.pcapng \
	  --host Benchmarks/Host --format none

# A package of its own, so that nobody who only builds Weir needs its dependencies.
bench_parts = BENCHMARK_DISABLE_JEMALLOC=1 WEIR_BENCH_BRIEF=$(BRIEF) $(SWIFT) package \
	--package-path Benchmarks --scratch-path .build/benchmarks --disable-sandbox benchmark
bench-parts:
	@scripts/install-missing "the build" $(build_packages)
	$(bench_parts) --grouping benchmark $(if $(ONLY),--filter '$(ONLY)')

# So that no benchmark rots; times nothing. Packets must not take memory, not one of them.
bench-brief: build
	set -o pipefail; for work in established create; do \
	  for nat in none snat masquerade dnat; do \
	    $$($(release) --show-bin-path)/weir bench --work $$work --nat $$nat --json \
	      --connections 2000 --packets 2000 --rounds 2 | tee -a /dev/stderr \
	      | grep -q -e '"allocations":0.0000' || exit 1; \
	  done; \
	done
	$$($(release) --show-bin-path)/weir bench --work expire --connections 2000
	$(MAKE) bench-parts BRIEF=1
	$(MAKE) bench PACKETS=20000

plot: build
	scripts/plot-performance $$($(release) --show-bin-path)/weir > .build/performance.svg
	mv .build/performance.svg docs/performance.svg

# The running kernel against Weir; docs/conformance.md. PACKETS has another default here.
conformance: CASES ?=
conformance:
	@scripts/install-missing "the tests" $(test_packages)
	$(SWIFT) build -c release --product weir-conformance
	SEED=$(SEED) PACKETS=$(if $(filter file,$(origin PACKETS)),10000,$(PACKETS)) ONLY=$(ONLY) \
		$$($(SWIFT) build -c release --show-bin-path)/weir-conformance $(CASES)

install: build
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $$($(release) --show-bin-path)/weir $(DESTDIR)$(PREFIX)/bin/weir

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/weir

clean:
	$(SWIFT) package clean
	rm -rf .build/fuzzing
