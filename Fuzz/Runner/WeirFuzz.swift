// `weir-fuzz`: runs the fuzz targets. Compiled with libFuzzer (`make fuzz`) it is a fuzzer, its target
// named by WEIR_FUZZ_TARGET; compiled as usual it replays inputs and makes seeded ones.

import FuzzTargets

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

#if LIBFUZZER
  private let target: FuzzTarget = {
    // Read once, before any thread of the fuzzer runs.
    guard let name = unsafe getenv("WEIR_FUZZ_TARGET"),
      let target = FuzzTarget(rawValue: unsafe String(cString: name))
    else {
      fatalError("set WEIR_FUZZ_TARGET to one of \(FuzzTarget.allCases.map(\.rawValue))")
    }
    return target
  }()

  /// What libFuzzer calls with every input.
  @_cdecl("LLVMFuzzerTestOneInput")
  public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    // libFuzzer's input: `count` bytes, valid during the call, copied at once.
    target.run(unsafe Array(UnsafeBufferPointer(start: start, count: count)))
    return 0
  }
#else
  import Foundation

  @main
  struct WeirFuzz {
    static let usage = """
      usage: weir-fuzz frames COUNT [SEED]          random and mutated frames, round by round
             weir-fuzz mutate TARGET SECONDS [SEED] mutations of a target's corpus, seeded
             weir-fuzz replay TARGET FILE…          inputs that were found
             weir-fuzz seeds DIR                    write the frames target's first inputs
      """

    static func main() throws {
      let arguments = Array(CommandLine.arguments.dropFirst())
      switch arguments.first {
      case "frames" where arguments.count >= 2:
        frames(Int(arguments[1]) ?? 0, seed: seed(arguments, at: 2))
      case "mutate" where arguments.count >= 3:
        try mutate(
          try target(arguments[1]), Double(arguments[2]) ?? 0, seed: seed(arguments, at: 3))
      case "replay" where arguments.count >= 3:
        let target = try target(arguments[1])
        for path in arguments[2...] {
          let digest = target.run(Array(try Data(contentsOf: URL(filePath: path))))
          print("\(path): \(String(digest, radix: 16))")
        }
      case "seeds" where arguments.count == 2: try seeds(arguments[1])
      default: print(usage)
      }
    }

    struct UnknownTarget: Error {}

    static func target(_ name: String) throws -> FuzzTarget {
      guard let target = FuzzTarget(rawValue: name) else { throw UnknownTarget() }
      return target
    }

    static func seed(_ arguments: [String], at place: Int) -> UInt64 {
      arguments.count > place ? UInt64(arguments[place]) ?? 1 : 1
    }

    /// Says the seed of each round first, so that the last line before a trap repeats it.
    static func frames(_ count: Int, seed: UInt64) {
      let begin = Date()
      var report = LongRunReport()
      var round = seed
      var told = Date.distantPast
      while report.frames < count {
        let frames = min(LongRun.framesPerFirewall, count - report.frames)
        progress("round \(round): repeat with `weir-fuzz frames \(frames) \(round)`")
        LongRun.round(seed: round, frames: frames, &report)
        round &+= 1
        if Date().timeIntervalSince(told) > 10 {
          told = Date()
          print("\(report)")
        }
      }
      let seconds = Date().timeIntervalSince(begin)
      print("\(report); \(Int(seconds)) s; digest \(String(report.digest, radix: 16))")
    }

    /// Overwrites one line of a terminal; to a file only the last one matters, which a trap keeps.
    static func progress(_ text: String) {
      FileHandle.standardError.write(Data("\r\(text)\u{1b}[K".utf8))
    }

    static func mutate(_ target: FuzzTarget, _ seconds: Double, seed: UInt64) throws {
      let corpus = try Corpus.inputs(of: target)
      let end = Date().addingTimeInterval(seconds)
      var number = seed
      while Date() < end {
        progress(
          "seed \(number): repeat with `weir-fuzz mutate \(target.rawValue) 0.001 \(number)`")
        for _ in 0..<50 { target.run(Corpus.mutation(of: corpus, seed: number)) }
        number &+= 1
      }
      print("\((number &- seed) * 50) inputs")
    }

    static func seeds(_ folder: String) throws {
      for seed in UInt64(1)...24 {
        var bytes: [UInt8] = []
        var report = LongRunReport()
        LongRun.round(seed: seed, frames: 12, &report) { bytes += $0.bytes }
        try Data(bytes).write(to: URL(filePath: folder).appending(path: "generated-\(seed)"))
      }
    }
  }
#endif
