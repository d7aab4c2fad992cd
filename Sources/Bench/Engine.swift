// One firewall under measurement with its traffic: one worker's share.

import Conntrack
import Firewall
import Ruleset
import Wire

/// Counts what leaves, and keeps how first packets left.
struct CountingSink: PacketSink, ~Copyable {
  var packets = 0
  var bytes = 0
  /// The packets of one burst as they left, while connections are made; nil afterwards.
  var kept: [[UInt8]]?

  mutating func emit(_ bytes: RawSpan, through interface: InterfaceID, isAnswer: Bool) {
    packets += 1
    self.bytes += bytes.byteCount
    if kept != nil { kept?.append(bytes.array) }
  }

  mutating func deliver(_ bytes: RawSpan, from interface: InterfaceID, isAnswer: Bool) {}
}

struct Engine: ~Copyable {
  private let options: BenchOptions
  private var firewall: Firewall
  private var traffic: Traffic
  private var generator: SeededGenerator
  /// Packets made ahead, so that making them is not timed: few enough to stay in the cache.
  private var bursts = InlineArray<16, PacketBurst> { _ in PacketBurst() }
  private var sink = CountingSink()
  private let lan: InterfaceID
  private let wan: InterfaceID
  private var now: Int64 = 1_700_000_000_000_000_000
  private var created = 0
  /// What the timed packets took beside time.
  private(set) var counted = Counted()

  init(_ options: BenchOptions, worker: Int) throws {
    self.options = options
    var ruleset = Ruleset()
    try ruleset.apply(BenchRouter.rules(options), file: "rules", family: options.family)
    var settings = ConntrackSettings()
    settings.max = Int64(options.connections + 1024)
    settings.buckets = settings.max
    settings.acct = options.counts ? 1 : 0
    let seed = options.seed &+ UInt64(worker)
    firewall = try Firewall(
      ruleset: ruleset, host: try BenchRouter.host(), settings: settings, seed: seed)
    firewall.tracker.expiry = .swept
    // As a gateway does, and so that what is timed is the engine, not the system's giving of pages.
    firewall.populateTable()
    lan = firewall.interface(named: "lan0")
    wan = firewall.interface(named: "wan0")
    traffic = Traffic(options)
    generator = SeededGenerator(seed: seed ^ 0xBE_4C)
  }

  var memoryBytes: Int { firewall.tracker.memoryBytes }

  // MARK: Making connections

  /// Opens `count` connections and leaves them established; not timed.
  mutating func establish(_ count: Int) throws {
    while created < count {
      let group = created..<min(created + options.burst, count)
      sink.kept = []
      exchange(group, options.transport == .tcp ? .syn : .data, isClient: true)
      let left = sink.kept ?? []
      sink.kept = nil
      guard left.count == group.count || options.level == .track else {
        throw BenchError("only \(left.count) of \(group.count) first packets passed")
      }
      for (connection, bytes) in zip(group, left) { traffic.note(connection, left: bytes.rawSpan) }
      exchange(group, .synAck, isClient: false)
      exchange(group, .ack, isClient: true)
      created = group.upperBound
    }
    // So that what is answered counts as a stream.
    now += 3_000_000_000
    // And so that both directions of each have been this way before.
    for first in stride(from: 0, to: count, by: options.burst) {
      let group = first..<min(first + options.burst, count)
      for isClient in [true, false, true] { exchange(group, .data, isClient: isClient) }
    }
  }

  private mutating func exchange(_ group: Range<Int>, _ kind: Traffic.Kind, isClient: Bool) {
    bursts[0].removeAll()
    for connection in group { add(to: 0, kind, connection, isClient) }
    run(bursts: 1)
  }

  // MARK: Timed

  /// Packets of established connections. Nanoseconds a packet.
  mutating func established(_ packets: Int) throws -> Double {
    var nanoseconds = 0.0
    var done = 0
    let before = sink.packets
    while done < packets {
      for index in bursts.indices {
        bursts[index].removeAll()
        for _ in 0..<options.burst {
          let number = generator.next()
          // Below `connections`.
          let connection = Int(((number >> 32) &* UInt64(options.connections)) >> 32)
          add(to: index, .data, connection, number & 1 == 0)
        }
        done += options.burst
      }
      nanoseconds += timed()
    }
    if options.level == .firewall && sink.packets - before != done {
      throw BenchError("only \(sink.packets - before) of \(done) packets passed")
    }
    return nanoseconds / Double(done)
  }

  /// First packets of the next `count` connections. Nanoseconds a packet.
  mutating func create(_ count: Int) throws -> Double {
    var nanoseconds = 0.0
    var done = 0
    let before = firewall.tracker.count
    while done < count {
      for index in bursts.indices {
        bursts[index].removeAll()
        for _ in 0..<min(options.burst, count - done) {
          add(to: index, options.transport == .tcp ? .syn : .data, created, true)
          created += 1
          done += 1
        }
      }
      nanoseconds += timed()
    }
    if firewall.tracker.count - before != done {
      throw BenchError("only \(firewall.tracker.count - before) of \(done) connections were made")
    }
    return nanoseconds / Double(done)
  }

  /// Lets every connection's time pass. Nanoseconds an entry, and the longest a burst waited.
  mutating func expire() -> (perEntry: Double, longest: Double) {
    let entries = firewall.tracker.count
    now += 6 * 86_400_000_000_000
    var nanoseconds = 0.0
    var longest = 0.0
    while firewall.tracker.count > 0 {
      now += 1_000_000
      let watch = Stopwatch()
      firewall.advance(to: now)
      let passed = watch.nanoseconds
      nanoseconds += passed
      longest = max(longest, passed)
    }
    return (nanoseconds / Double(max(1, entries)), longest)
  }

  // MARK: Packets

  private mutating func add(
    to burst: Int, _ kind: Traffic.Kind, _ connection: Int, _ isClient: Bool
  ) {
    let arrival = Arrival(
      interface: isClient ? lan : wan, family: options.family, timeNanoseconds: now)
    bursts[burst].append(arrival) { packet in
      packet.resize(to: traffic.packetLength)
      traffic.write(kind, connection, fromClient: isClient, into: &packet)
    }
  }

  /// Lets all bursts go their way. Nanoseconds.
  private mutating func timed() -> Double {
    var counting = counted
    var packets = 0
    for index in bursts.indices { packets += bursts[index].count }
    var nanoseconds = 0.0
    counting.count(packets: packets) {
      let watch = Stopwatch()
      run(bursts: bursts.count)
      nanoseconds = watch.nanoseconds
    }
    counted = counting
    return nanoseconds
  }

  private mutating func run(bursts count: Int) {
    var silent = SilentObserver()
    for index in 0..<count {
      bursts[index].setTimes(from: now, step: 100)
      now += 100 * Int64(bursts[index].count)
      if options.level == .firewall {
        firewall.receive(&bursts[index], to: &sink, observer: &silent)
      } else {
        firewall.track(&bursts[index])
      }
    }
  }
}

/// What stops a measurement: the engine did not do what it was to be timed at.
public struct BenchError: Error, CustomStringConvertible, Sendable {
  public let description: String
  init(_ description: String) { self.description = description }
}
