// Where NAT has changed the length of what a TCP connection carries, its sequence numbers differ on
// both sides of this host: by how much, and from where on. Kept beside the records, for the few
// connections that need it.

/// How far one direction's sequence numbers are moved. Numbers are as the sender counts.
@frozen
public struct SequenceShift: Hashable, Sendable, BitwiseCopyable {
  /// Where the last change of length was made.
  public var position: UInt32 = 0
  /// The difference for numbers up to `position`.
  public var before: Int32 = 0
  /// The difference for numbers behind it.
  public var after: Int32 = 0

  @inlinable public init() {}

  /// The difference for a sequence number as its sender counts.
  @inlinable public func difference(at sequence: UInt32) -> UInt32 {
    UInt32(
      bitPattern: Int32(truncatingIfNeeded: sequence &- position) > 0 ? after : before)
  }

  /// The difference for a number as the other side counts, that of an acknowledgement.
  @inlinable public func difference(atTranslated sequence: UInt32) -> UInt32 {
    difference(at: sequence &- UInt32(bitPattern: before))
  }

  /// From `sequence` on, `change` more bytes than before.
  @inlinable public mutating func add(_ change: Int32, at sequence: UInt32) {
    // What was changed behind this place already stays as it is.
    guard before == after || Int32(truncatingIfNeeded: position &- sequence) < 0 else { return }
    position = sequence
    before = after
    after &+= change
  }
}

/// Both directions' shifts.
struct SequenceShifts: BitwiseCopyable {
  var original = SequenceShift()
  var reply = SequenceShift()

  @inline(__always)
  subscript(direction: Direction) -> SequenceShift {
    get { direction == .original ? original : reply }
    set { if direction == .original { original = newValue } else { reply = newValue } }
  }
}

extension ConnectionTracker {
  /// Notes that NAT changed the length of a segment that began at `sequence`.
  public func shiftSequence(
    _ connection: ConnectionNumber, _ direction: Direction, at sequence: UInt32, by change: Int
  ) {
    let record = connection.index
    if change == 0 { return }
    if !table.records[record].extensions.contains(.shifts) {
      table.shifts[record] = SequenceShifts()
      table.records[record].extensions.insert(.shifts)
    }
    table.shifts[record][direction].add(Int32(truncatingIfNeeded: change), at: sequence)
    table.records[record].status.insert(.sequenceAdjusted)
  }

  /// The shift of one direction. Nil where no length was ever changed.
  @inline(__always)
  public func sequenceShift(
    _ connection: ConnectionNumber, _ direction: Direction
  ) -> SequenceShift? {
    table.records[connection.index].extensions.contains(.shifts)
      ? table.shifts[connection.index][direction] : nil
  }
}
