// swift-tools-version: 6.2
import PackageDescription

// Apart from the package above, so that who depends on Weir neither resolves nor builds what only
// measuring needs. `make bench-parts` runs it.
let package = Package(
  name: "weir-benchmarks",
  platforms: [.macOS(.v26)],
  dependencies: [
    .package(name: "weir", path: ".."),
    // Without its traits, which count allocations with libraries that only some systems have.
    .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
  ],
  targets: [
    .executableTarget(
      name: "Parts",
      dependencies: [
        .product(name: "Benchmark", package: "benchmark"),
        .product(name: "Firewall", package: "weir"),
        .product(name: "WeirTestSupport", package: "weir"),
      ],
      path: "Parts",
      swiftSettings: [.swiftLanguageMode(.v6)],
      plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")])
  ]
)
