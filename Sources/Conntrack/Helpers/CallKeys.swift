// PPTP's GRE packets carry the key of their destination only. Which key their source has is known from
// the control connection: filed here, found by the addresses and the key that a packet does carry.

import Wire

struct CallKeyPair: BitwiseCopyable, Equatable {
  var source: UInt16 = 0
  var destination: UInt16 = 0
}

/// Heads of the lists of filed keys. What is filed lies beside the records of the control connections, so
/// there is room for all of them. References are record number × 2 + direction + 1; 0 is none.
struct CallKeys: ~Copyable {
  fileprivate let heads: FlatArray<UInt32>
  fileprivate let mask: Int
  fileprivate(set) var count = 0

  init(expectations: Int) {
    let buckets = 1 << (Int.bitWidth - (max(expectations, 2) - 1).leadingZeroBitCount)
    heads = FlatArray(count: buckets)
    mask = buckets - 1
  }
}

extension ConnectionTable {
  /// The tuple that the packets of a control connection's call have in one direction.
  func callTuple(of record: Int, _ direction: Direction, _ keys: CallKeyPair) -> Tuple {
    var tuple = tuple(record, direction)
    tuple.protocolNumber = IPProtocolNumber.gre
    tuple.sourcePort = keys.source
    tuple.destinationPort = keys.destination
    return tuple
  }

  private func bucket(_ tuple: Tuple) -> Int {
    var known = tuple
    known.sourcePort = 0
    return Int(truncatingIfNeeded: hash(known, zone: 0)) & callKeys.mask
  }

  private func next(_ reference: UInt32) -> UInt32 {
    let next = helpers[Int((reference - 1) / 2)].call.next
    return (reference - 1) % 2 == 0 ? next.0 : next.1
  }

  private func setNext(_ reference: UInt32, _ next: UInt32) {
    let record = Int((reference - 1) / 2)
    if (reference - 1) % 2 == 0 {
      helpers[record].call.next.0 = next
    } else {
      helpers[record].call.next.1 = next
    }
  }

  private func tuple(filedAs reference: UInt32) -> Tuple {
    let record = Int((reference - 1) / 2)
    let keys = helpers[record].call.keys
    return (reference - 1) % 2 == 0
      ? callTuple(of: record, .original, keys.0) : callTuple(of: record, .reply, keys.1)
  }

  /// Gives a tuple of a PPTP packet whose GRE header lies at `offset` the key of its source, if it is
  /// known; of several the one filed first.
  @inline(__always)
  func completeCall(_ tuple: inout Tuple, _ bytes: RawSpan, at offset: Int, end: Int) {
    if callKeys.count == 0 || tuple.protocolNumber != IPProtocolNumber.gre { return }
    findKey(&tuple, bytes, at: offset, end: end)
  }

  @inline(never)
  private func findKey(_ tuple: inout Tuple, _ bytes: RawSpan, at offset: Int, end: Int) {
    guard tuple.family == .ipv4, offset >= 0, offset + GREField.pptpLength <= end,
      bytes.uint16(at: offset) & GREField.versionMask == 1
    else { return }
    var reference = callKeys.heads[bucket(tuple)]
    while reference != 0 {
      let filed = self.tuple(filedAs: reference)
      if filed.source == tuple.source && filed.destination == tuple.destination
        && filed.destinationPort == tuple.destinationPort
      {
        tuple.sourcePort = filed.sourcePort
        return
      }
      reference = next(reference)
    }
  }

  /// Files the keys of a control connection's call. Those filed before it has ended stay.
  /// - Returns: false where they are others by what packets carry. Those of the client's packets are
  ///   compared first; where only the server's are others, none are filed any more.
  mutating func fileCallKeys(of record: Int, _ keys: (CallKeyPair, CallKeyPair)) -> Bool {
    let call = helpers[record].call
    if call.isFiled {
      if call.keys.0.destination != keys.0.destination { return false }
      if call.keys.1.destination == keys.1.destination { return true }
      forgetCallKeys(of: record)
      return false
    }
    helpers[record].call.keys = keys
    helpers[record].call.isFiled = true
    for direction in 0..<2 as Range<UInt32> {
      let reference = UInt32(record) * 2 + direction + 1
      setNext(reference, 0)
      let bucket = bucket(tuple(filedAs: reference))
      var last = callKeys.heads[bucket]
      if last == 0 {
        callKeys.heads[bucket] = reference
      } else {
        while next(last) != 0 { last = next(last) }
        setNext(last, reference)
      }
    }
    callKeys.count += 1
    return true
  }

  mutating func forgetCallKeys(of record: Int) {
    guard helpers[record].call.isFiled else { return }
    for direction in 0..<2 as Range<UInt32> {
      let reference = UInt32(record) * 2 + direction + 1
      let bucket = bucket(tuple(filedAs: reference))
      let rest = next(reference)
      if callKeys.heads[bucket] == reference {
        callKeys.heads[bucket] = rest
      } else {
        var before = callKeys.heads[bucket]
        while next(before) != reference { before = next(before) }
        setNext(before, rest)
      }
    }
    helpers[record].call.isFiled = false
    callKeys.count -= 1
  }

  /// Forgets the keys of a control connection's call, and stops to expect its flow in one direction.
  /// - Returns: the record of the flow with that direction's tuple, where it has begun: it is to be
  ///   removed.
  mutating func takeCall(of record: Int, _ direction: Direction, now: Int64) -> Int? {
    guard records[record].extensions.contains(.helper), helpers[record].kind == .pptp else {
      return nil
    }
    forgetCallKeys(of: record)
    let call = helpers[record].call
    let keys =
      direction == .original
      ? CallKeyPair(source: call.client, destination: call.server)
      : CallKeyPair(source: call.server, destination: call.client)
    let tuple = callTuple(of: record, direction, keys)
    if let found = find(tuple, zone: zone(record)), records[found.record].deadline > now {
      return found.record
    }
    if let found = expectation(awaiting: tuple, zone: records[record].zone) {
      forgetExpectation(found)
    }
    return nil
  }
}
