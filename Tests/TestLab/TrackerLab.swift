// A connection table on a bench: packets go in one at a time, what conntrack says of each comes out in
// the words of its own tools. For the tests of Conntrack and NAT.

import Conntrack
import ConntrackFormat
import NAT
import PacketForge
import Wire

/// One table, its clock, and what listeners hear.
///
/// Results read as the kernel's own tools put them: `NEW/o` is a packet that is NEW, in the original
/// direction; `INVALID` has no direction.
public final class TrackerLab {
  public var tracker: ConnectionTracker
  /// Nanoseconds since 1970.
  public private(set) var now: Int64
  /// Why the last packet was not believed.
  public private(set) var lastReason: InvalidReason?
  public private(set) var lastConnection: ConnectionNumber = .none
  private var buffer = PacketBuffer()
  private let recorder: LabRecorder?

  public init(
    seed: UInt64 = 1, policies: [TimeoutPolicy] = [], test: String = #function,
    _ change: (inout ConntrackSettings) -> Void = { _ in }
  ) {
    var settings = ConntrackSettings()
    settings.max = 4096
    settings.buckets = 4096
    change(&settings)
    tracker = ConnectionTracker(settings: settings, policies: policies, seed: seed)
    tracker.recordsEvents = true
    now = 1_700_000_000_000_000_000
    tracker.advance(to: now)
    recorder = LabRecorder(test: test, settings)
  }

  // MARK: Time

  public func wait(_ seconds: Double) { wait(nanoseconds: Int64(seconds * 1e9)) }

  public func wait(nanoseconds: Int64) {
    now += nanoseconds
    tracker.advance(to: now)
    recorder?.note("wait \(nanoseconds)")
  }

  // MARK: Packets

  /// A packet that arrives, passes all rules, and leaves.
  @discardableResult
  public func sees(_ packet: Packet) -> String { passes(packet, to: nil) }

  /// The same, of a packet that a CT rule was for.
  @discardableResult
  public func sees(_ packet: Packet, _ template: TrackingTemplate) -> String {
    end(track(packet, template: template))
  }

  /// A packet that a rule drops after conntrack has seen it.
  @discardableResult
  public func drops(_ packet: Packet) -> String {
    let tracking = track(packet, .prerouting)
    _ = tracker.finish(tracking, passed: false)
    return TrackerLab.text(tracking)
  }

  /// A packet of the host's own.
  @discardableResult
  public func sends(_ packet: Packet) -> String {
    let tracking = track(packet, .output)
    return end(tracking)
  }

  /// A packet that passes; if it begins a connection, that is bound to `range` first.
  @discardableResult
  public func passes(
    _ packet: Packet, _ kind: NATKind = .source, to range: NATRange?
  ) -> String {
    let tracking = track(packet, .prerouting)
    if let range, tracking.isUnconfirmed { tracker.bind(tracking.connection, kind, to: range) }
    let text = end(tracking)
    recorder?.note("packet \(packet) \(text)\t\(table.joined(separator: "|"))")
    return text
  }

  private func end(_ tracking: Tracking) -> String {
    if case .clash = tracker.finish(tracking, passed: true) { return "clash" }
    return TrackerLab.text(tracking)
  }

  /// Tracks a packet and leaves it under way: `finish` is the caller's.
  public func track(
    _ packet: Packet, _ hook: TrackingHook = .prerouting,
    template: TrackingTemplate = TrackingTemplate()
  ) -> Tracking {
    precondition(buffer.assign(packet.bytes.rawSpan))
    var headers = PacketHeaders()
    if let drop = PacketHeaders.decode(buffer.bytes, into: &headers) {
      preconditionFailure("no packet: \(drop)")
    }
    let tracking = tracker.track(buffer.bytes, headers, hook: hook, template: template)
    lastReason = tracking.reason
    lastConnection = tracking.connection
    return tracking
  }

  public static func text(_ tracking: Tracking) -> String {
    if tracking.mustDrop { return "table full" }
    if tracking.connection.isNone { return tracking.state.name }
    return tracking.state.name + (tracking.direction == .original ? "/o" : "/r")
  }

  // MARK: The table, in conntrack's words

  /// `conntrack -L`, oldest first.
  public var table: [String] {
    let writer = ConnectionWriter()
    return tracker.connections().map { writer.line($0) }
  }

  /// What the only entry's line says beside its tuples: `120 SYN_SENT [UNREPLIED]`.
  public var entry: String {
    guard let line = table.first, table.count == 1 else { return "\(table.count) entries" }
    let words = line.split(separator: " ").dropFirst(2)
    let head = words.prefix { !$0.hasPrefix("src=") }
    return (head + words.filter { $0.hasPrefix("[") }).joined(separator: " ")
  }

  /// What `conntrack -E` printed since the last call.
  public func heard() -> [String] {
    let writer = ConnectionWriter()
    return tracker.takeEvents().map { writer.line($0) }
  }
}
