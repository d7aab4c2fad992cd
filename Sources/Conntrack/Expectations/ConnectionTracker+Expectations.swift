// The life of expectations: filed by a helper or by NAT, fulfilled by a new connection, given up when
// their time is over or their master goes.

import Wire

extension ConnectionTracker {
  /// Files an expectation of a connection's helper, in place of the same one and, where there are as
  /// many as the helper may have, of the oldest.
  /// - Complexity: O(the connection's expectations).
  public mutating func expect(
    _ draft: ExpectationDraft, by master: ConnectionNumber
  ) -> ExpectationRefusal? {
    let record = master.index
    let zone = table.records[record].zone
    let hash = table.expectationHash(draft.tuple, zone: zone)
    let other = table.expectations.first(hash) {
      $0.zone == zone && $0.overlaps(draft)
        && !($0.master == UInt32(record) && $0.isSame(draft))
    }
    if other != nil { return .busy }
    let same = table.expectations.first(hash) {
      $0.zone == zone && $0.master == UInt32(record) && $0.isSame(draft)
    }
    if let same { table.forgetExpectation(same) }
    let policy = draft.helper.policy(draft.classNumber)
    if table.helpers[record].expecting[Int(draft.classNumber)] >= policy.most {
      guard let oldest = table.oldestExpectation(of: record, draft.classNumber) else {
        return .full
      }
      table.forgetExpectation(oldest)
    }
    if table.expectations.isFull || Int64(table.expectations.count) >= settings.expectMax {
      return .full
    }
    table.fileExpectation(draft, by: record, deadline: now + policy.timeout)
    return nil
  }

  /// Files an expectation that a command asks for (`conntrack -I expect`), of the helper that watches the
  /// master, with that helper's time: what ctnetlink refuses, in its order.
  /// - Parameter master: a tuple of the connection that is to expect it, in either direction.
  public mutating func expect(
    _ tuple: Tuple, sourceMask: IPAddress, sourcePortMask: UInt16, master: Tuple,
    zone: TrackingZone
  ) -> CommandedExpectationRefusal? {
    if table.expectation(awaiting: tuple, zone: zone.id) != nil { return .exists }
    guard let found = findLiving(master, zone: zone) else { return .noMaster }
    guard table.records[found.record].extensions.contains(.helper) else { return .noHelper }
    var draft = ExpectationDraft(
      tuple, helper: table.helpers[found.record].kind, direction: found.direction.opposite)
    draft.sourceMask = sourceMask
    draft.sourcePortMask = sourcePortMask
    switch expect(draft, by: ConnectionNumber(rawValue: UInt32(found.record))) {
    case .busy: return .busy
    case .full: return .full
    case nil: return nil
    }
  }

  /// Gives up what waited too long.
  @inline(__always)
  mutating func expireExpectations() {
    table.expectations.now = now
    if table.expectations.isEmpty { return }
    while let number = table.expectations.due(now) { table.forgetExpectation(number) }
  }

  // MARK: Fulfilment

  /// The expectation that a new connection with this original tuple fulfils.
  func expectation(of tuple: Tuple, zone: UInt16) -> Int? {
    let found = table.expectations.first(table.expectationHash(tuple, zone: zone)) {
      $0.zone == zone && !$0.flags.contains(.inactive) && $0.awaits(tuple)
    }
    guard let found else { return nil }
    // A master that is not in the table yet, or no longer, announces nothing.
    let status = table.records[Int(table.expectations[found].master)].status
    return status.contains(.confirmed) && !status.contains(.dying) ? found : nil
  }

  /// Uses an expectation up, unless it is permanent.
  mutating func useUp(_ number: Int) {
    if table.expectations[number].flags.contains(.permanent) { return }
    table.forgetExpectation(number)
  }

  /// Makes a connection that begins the child of the one that announced it.
  mutating func adopt(_ record: Int, _ number: Int) {
    let expectation = table.expectations[number]
    let master = Int(expectation.master)
    table.records[record].status.insert(.expected)
    table.records[record].mark = table.records[master].mark
    table.join(record, master: master)
    adoption = Adoption(
      following: expectation.following, direction: expectation.direction,
      port: expectation.savedPort, sourcePort: expectation.savedSourcePort,
      master: ConnectionNumber(rawValue: expectation.master))
    table.expectations.statistics.new += 1
    useUp(number)
    if expectation.helper == .pptp { forgetOtherCall(of: record, expectation) }
  }

  /// The connection that announced this one; it may be out of the table by now.
  public func master(of connection: ConnectionNumber) -> ConnectionNumber? {
    let record = connection.index
    guard table.records[record].extensions.contains(.kin), table.kin[record].master != 0 else {
      return nil
    }
    return ConnectionNumber(rawValue: table.kin[record].master - 1)
  }

  // MARK: Looking

  /// The expectation events since the last call, oldest first.
  public mutating func takeExpectationEvents() -> [ExpectationEvent] {
    defer { table.expectations.events.removeAll(keepingCapacity: true) }
    return table.expectations.events
  }

  /// Every expectation whose time is not over, oldest first.
  /// - Complexity: O(n log n).
  public func expectations() -> [Expectation] {
    var all: [Expectation] = []
    table.expectations.visitAll { number in
      if table.expectations[number].deadline > now { all.append(table.expectation(number)) }
    }
    all.sort { $0.id < $1.id }
    return all
  }

  /// How many expectations there are (`conntrack -C expect`).
  public var expectationCount: Int { table.expectations.count }
  public var expectationStatistics: ExpectationStatistics { table.expectations.statistics }
}

/// What NAT must know of a connection that fulfilled an expectation.
public struct Adoption: Sendable, BitwiseCopyable {
  public var following: ExpectationFollowing
  /// Of the connection's original packets within its master.
  public var direction: Direction
  /// The destination port (GRE: key) that the end which announced it has itself.
  public var port: UInt16
  /// GRE: the source's key.
  public var sourcePort: UInt16
  public var master: ConnectionNumber
}
