// Many frames through firewalls that live for a thousand frames each: `make fuzz-frames`, and a short
// one in `make test`. A failure names the seed that repeats it at once.

/// What a long run saw.
public struct LongRunReport: Sendable, CustomStringConvertible {
  public var frames = 0
  public var emitted = 0
  public var verdicts: [String: Int] = [:]
  public var digest: UInt64 = 0

  public init() {}

  public var description: String {
    let counts = verdicts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
    return "\(frames) frames, \(emitted) packets out, \(counts.joined(separator: ", "))"
  }
}

public enum LongRun {
  public static let framesPerFirewall = 1000

  /// One firewall's life. Everything in it follows from `seed`.
  public static func round(
    seed: UInt64, frames: Int = framesPerFirewall, _ report: inout LongRunReport,
    observing: (FrameRecord) -> Void = { _ in }
  ) {
    var generator = FrameGenerator(seed: seed)
    var run = FrameRun(seed: seed)
    var records: [FrameRecord] = []
    for number in 0..<frames {
      let record = generator.next()
      observing(record)
      records.append(record)
      run.show(record)
      for (packet, interface) in run.emitted { generator.saw(packet, leaving: interface) }
      report.emitted += run.emitted.count
      if number % 97 == 0 { run.checkTable() }
    }
    run.checkTable()
    run.checkBursts(of: records, seed: seed)
    run.expireEverything()
    report.frames += frames
    report.digest = report.digest &* 31 &+ run.digest
    for (verdict, count) in run.verdicts { report.verdicts[verdict.name, default: 0] += count }
  }
}
