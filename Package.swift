// swift-tools-version: 6.2
import PackageDescription

// The layers of docs/design.md, lowest first. A target may depend only on targets above it in this
// list; the compiler enforces the rest, since nothing else is visible to it.
let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  .enableExperimentalFeature("Lifetimes"),
]

// Targets that only Linux has.
#if os(Linux)
  let linuxTargets: [Target] = [
    .systemLibrary(
      name: "CNetfilterConntrack", pkgConfig: "libnetfilter_conntrack",
      providers: [.apt(["libnetfilter-conntrack-dev", "libmnl-dev"])]),
    .systemLibrary(
      name: "CXDP", pkgConfig: "libxdp libbpf", providers: [.apt(["libxdp-dev", "libbpf-dev"])]),
    .target(
      name: "KernelTable",
      dependencies: ["CNetfilterConntrack", "Wire", "Conntrack", "TableControl"],
      swiftSettings: strict),
  ]
#else
  let linuxTargets: [Target] = []
#endif

let package = Package(
  name: "weir",
  platforms: [.macOS(.v26)],
  products: [
    .library(name: "Conntrack", targets: ["Conntrack"]),
    .library(name: "Firewall", targets: ["Firewall"]),
    .library(name: "Replay", targets: ["Replay"]),
    .executable(name: "weir", targets: ["weir"]),
    // What the benchmarks, a package of their own, share with the tests.
    .library(name: "WeirTestSupport", targets: ["PacketForge", "RuleForge"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/onevcat/Rainbow", from: "4.2.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
  ],
  targets: [
    .target(name: "CIntrinsics"),
    .target(name: "Wire", dependencies: ["CIntrinsics"], swiftSettings: strict),
    .testTarget(name: "WireTests", dependencies: ["Wire"], swiftSettings: strict),
    .target(name: "Conntrack", dependencies: ["CIntrinsics", "Wire"], swiftSettings: strict),
    .target(
      name: "ConntrackFormat", dependencies: ["Wire", "Conntrack"], swiftSettings: strict),
    .target(
      name: "TableControl", dependencies: ["Wire", "Conntrack", "ConntrackFormat"],
      swiftSettings: strict),
    .testTarget(
      name: "TableControlTests",
      dependencies: ["TableControl", "ConntrackFormat", "Conntrack", "Wire"],
      swiftSettings: strict),
    .target(name: "NAT", dependencies: ["Wire", "Conntrack"], swiftSettings: strict),
    .target(name: "Ruleset", dependencies: ["Wire", "Conntrack", "NAT"], swiftSettings: strict),
    .testTarget(
      name: "RulesetTests", dependencies: ["RuleForge", "Ruleset", "NAT", "Conntrack", "Wire"],
      exclude: ["Recorded"], swiftSettings: strict),
    .target(
      name: "Firewall", dependencies: ["Wire", "Conntrack", "NAT", "Ruleset"],
      swiftSettings: strict),
    .target(
      name: "HostSnapshot",
      dependencies: ["Wire", "Conntrack", "ConntrackFormat", "Ruleset", "Firewall"],
      swiftSettings: strict),
    .systemLibrary(name: "CPcap", pkgConfig: "libpcap", providers: [.apt(["libpcap-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .target(name: "Capture", dependencies: ["Wire", "CPcap", "CZlib"], swiftSettings: strict),
    .testTarget(name: "CaptureTests", dependencies: ["Capture"], swiftSettings: strict),
    .testTarget(
      name: "HostSnapshotTests", dependencies: ["HostSnapshot", "Firewall", "Wire"],
      exclude: ["Fixtures"], swiftSettings: strict),
    .target(
      name: "Replay",
      dependencies: [
        "Wire", "Conntrack", "ConntrackFormat", "NAT", "Ruleset", "Firewall", "HostSnapshot",
        "Capture",
      ],
      swiftSettings: strict),
    // Stands before malloc where it is linked, so nothing but the benchmark may depend on it.
    .target(name: "CAllocationCount"),
    // Linux only: what is in it is left out elsewhere.
    .systemLibrary(name: "CLinux"),
    .target(
      name: "Gateway",
      dependencies: [
        "Wire", "Conntrack", "ConntrackFormat", "TableControl", "NAT", "Ruleset", "Firewall",
        .target(name: "CLinux", condition: .when(platforms: [.linux])),
        .target(name: "CXDP", condition: .when(platforms: [.linux])),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: strict),
    .target(
      name: "Bench",
      dependencies: [
        "CAllocationCount", "CIntrinsics", "Wire", "Conntrack", "NAT", "Ruleset", "Firewall",
      ],
      swiftSettings: strict),
    .executableTarget(
      name: "weir",
      dependencies: [
        "Bench", "Gateway", "Replay", "TableControl", "ConntrackFormat", "HostSnapshot", "Capture",
        "Ruleset", "Firewall", "Conntrack", "Wire",
        .target(name: "KernelTable", condition: .when(platforms: [.linux])),
        .target(name: "CLinux", condition: .when(platforms: [.linux])),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Rainbow", package: "Rainbow"),
      ],
      swiftSettings: strict),
    .testTarget(
      name: "ConntrackFormatTests", dependencies: ["ConntrackFormat", "Conntrack", "Wire"],
      exclude: ["Recorded"], swiftSettings: strict),
    .target(
      name: "ReplayTestSupport",
      dependencies: [
        "Replay", "Firewall", "Capture", "Conntrack", "ConntrackFormat", "HostSnapshot",
        "Ruleset", "Wire",
      ], path: "Tests/ReplayTestSupport", swiftSettings: strict),
    .testTarget(
      name: "ReplayTests",
      dependencies: [
        "ReplayTestSupport", "PacketForge", "Replay", "Capture", "Conntrack", "Firewall",
        "HostSnapshot", "Ruleset", "Wire",
      ], swiftSettings: strict),
    .testTarget(
      name: "AcceptanceTests",
      dependencies: [
        "ReplayTestSupport", "Replay", "Conntrack", "ConntrackFormat", "Firewall", "Wire",
      ], swiftSettings: strict),
    .testTarget(
      name: "CommandTests",
      dependencies: [
        "Bench", "weir", "ReplayTestSupport", "TableControl", "ConntrackFormat", "Wire",
      ],
      swiftSettings: strict),
    .testTarget(
      name: "RecordedKernelTests",
      dependencies: [
        "Replay", "Firewall", "Capture", "Conntrack", "ConntrackFormat", "HostSnapshot",
        "Ruleset", "Wire",
      ], swiftSettings: strict),

    // Packets built by hand, and engines to send them through: for tests and fuzzing.
    .target(
      name: "PacketForge", dependencies: ["Wire"], path: "Tests/PacketForge",
      swiftSettings: strict),
    // Rulesets of any size and packets for them: for tests and benchmarks.
    .target(
      name: "RuleForge", dependencies: ["Wire", "Conntrack", "Ruleset"],
      path: "Tests/RuleForge", swiftSettings: strict),
    .target(
      name: "TestLab",
      dependencies: [
        "PacketForge", "Wire", "Conntrack", "ConntrackFormat", "NAT", "Ruleset", "Firewall",
      ],
      path: "Tests/TestLab", swiftSettings: strict),
    .testTarget(
      name: "ConntrackTests",
      dependencies: ["TestLab", "PacketForge", "Conntrack", "ConntrackFormat", "Wire"],
      swiftSettings: strict),
    .testTarget(
      name: "NATTests", dependencies: ["TestLab", "PacketForge", "NAT", "Conntrack", "Wire"],
      swiftSettings: strict),
    .testTarget(
      name: "FirewallTests",
      dependencies: ["TestLab", "PacketForge", "Firewall", "Ruleset", "Conntrack", "Wire"],
      swiftSettings: strict),

    .testTarget(
      name: "GatewayTests",
      dependencies: [
        "weir", "Gateway", "TableControl", "ConntrackFormat", "TestLab", "PacketForge", "Firewall",
        "Ruleset", "Conntrack", "Wire",
      ], swiftSettings: strict),

    // The running kernel beside the library, packet by packet.
    .target(
      name: "Conformance",
      dependencies: [
        "Wire", "Conntrack", "ConntrackFormat", "NAT", "Ruleset", "Firewall", "HostSnapshot",
      ],
      path: "Tests/KernelConformance/Lab", swiftSettings: strict),
    .executableTarget(
      name: "weir-conformance", dependencies: ["Conformance"],
      path: "Tests/KernelConformance/Runner", swiftSettings: strict),
    .testTarget(
      name: "KernelConformance", dependencies: ["Conformance", "HostSnapshot", "weir"],
      path: "Tests/KernelConformance/Tests", swiftSettings: strict),

    .target(
      name: "FuzzTargets",
      dependencies: [
        "PacketForge", "Wire", "Conntrack", "NAT", "Ruleset", "Firewall", "HostSnapshot",
        "Capture", "Replay", "TableControl", "ConntrackFormat", "Gateway",
      ],
      path: "Fuzz/Targets", swiftSettings: strict),
    .executableTarget(
      name: "weir-fuzz", dependencies: ["FuzzTargets"], path: "Fuzz/Runner",
      swiftSettings: strict),
    .testTarget(name: "FuzzTests", dependencies: ["FuzzTargets"], swiftSettings: strict),
    .executableTarget(
      name: "make-capture", dependencies: ["PacketForge", "Capture", "Wire"],
      path: "Benchmarks/MakeCapture", swiftSettings: strict),
  ] + linuxTargets
)
