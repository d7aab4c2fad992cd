// Filing and forgetting expectations: what keeps the table of them, their masters' counts and the
// listeners in step.

import Wire

extension ConnectionTable {
  /// Expectations are found by where the expected connection goes.
  func expectationHash(_ tuple: Tuple, zone: UInt16) -> UInt64 {
    var destination = tuple
    destination.source = .any
    destination.sourcePort = 0
    return hash(destination, zone: zone)
  }

  /// Files an expectation; there must be room for it.
  mutating func fileExpectation(_ draft: ExpectationDraft, by record: Int, deadline: Int64) {
    var head = helpers[record].newest
    let zone = records[record].zone
    let number = expectations.insert(
      draft, master: record, zone: zone, deadline: deadline,
      hash: expectationHash(draft.tuple, zone: zone), head: &head)
    helpers[record].newest = head
    helpers[record].expecting[Int(draft.classNumber)] += 1
    expectations.statistics.create += 1
    tellExpectation(.new, number)
  }

  /// Takes an expectation out and tells listeners.
  mutating func forgetExpectation(_ number: Int) {
    tellExpectation(.destroy, number)
    let expectation = expectations[number]
    let record = Int(expectation.master)
    helpers[record].expecting[Int(expectation.classNumber)] -= 1
    var head = helpers[record].newest
    expectations.remove(
      number, hash: expectationHash(expectation.tuple, zone: expectation.zone), head: &head)
    helpers[record].newest = head
    expectations.statistics.delete += 1
  }

  /// Gives up what a connection that goes still expected.
  mutating func forgetExpectations(of record: Int) {
    guard records[record].extensions.contains(.helper) else { return }
    while helpers[record].newest != 0 { forgetExpectation(Int(helpers[record].newest - 1)) }
  }

  /// The oldest expectation of a class that a connection has.
  func oldestExpectation(of record: Int, _ classNumber: UInt8) -> Int? {
    var oldest: Int?
    var next = helpers[record].newest
    while next != 0 {
      let expectation = expectations[Int(next - 1)]
      if expectation.classNumber == classNumber { oldest = Int(next - 1) }
      next = expectation.nextOfMaster
    }
    return oldest
  }

  /// The expectation that a connection with this original tuple would fulfil.
  func expectation(awaiting tuple: Tuple, zone: UInt16) -> Int? {
    expectations.first(expectationHash(tuple, zone: zone)) { $0.zone == zone && $0.awaits(tuple) }
  }

  /// One expectation, copied out.
  func expectation(_ number: Int) -> Expectation {
    let stored = expectations[number]
    var expectation = Expectation(
      tuple: stored.tuple, sourceMask: stored.sourceMask, sourcePortMask: stored.sourcePortMask,
      master: tuple(Int(stored.master), .original), helper: stored.helper)
    expectation.zone = stored.zone
    expectation.timeoutNanoseconds = max(0, stored.deadline - expectations.now)
    expectation.classNumber = stored.classNumber
    expectation.flags = stored.flags
    expectation.id = stored.id
    return expectation
  }

  private mutating func tellExpectation(_ kind: ExpectationEvent.Kind, _ number: Int) {
    guard expectations.recordsEvents else { return }
    expectations.events.append(
      ExpectationEvent(
        kind: kind, expectation: expectation(number), timeNanoseconds: expectations.now))
  }
}
