// Who is on a port's link: the link-layer address of each next hop, asked for when a packet needs it, believed
// for a while, asked for again. Packets wait meanwhile, a bounded number. For the packet port.

#if os(Linux)
  import Wire

  struct NeighbourKey: Hashable {
    var address: IPAddress
    var family: AddressFamily
  }

  /// A packet that waits for its next hop's address, or that has waited in vain.
  package struct WaitingPacket {
    package var bytes: [UInt8]
    var segmentSize: UInt16
  }

  /// A question to be sent: who has this address?
  struct Solicitation {
    var key: NeighbourKey
    /// To whom, where the address is known and only to be confirmed; nil: to all.
    var known: UInt64?
  }

  struct NeighbourTable {
    private enum State {
      /// Asked for, `asked` times.
      case incomplete
      case reachable
      /// Believed, and being asked whether that is still so.
      case probing
      /// Nobody answered; packets are refused until it is forgotten.
      case failed
    }

    private struct Entry {
      var state = State.incomplete
      var mac: UInt64 = 0
      /// Since when the state holds, or the last question was asked.
      var since: Int64
      var lastUse: Int64
      var asked = 0
      var waiting: [WaitingPacket] = []
    }

    /// The defaults of a Linux neighbour table (arp(7)), nanoseconds and counts.
    private static let reachableTime: Int64 = 30_000_000_000
    private static let retransmitTime: Int64 = 1_000_000_000
    private static let questions = 3
    /// Nobody answered: so long is not asked again.
    private static let failedTime: Int64 = 1_000_000_000
    private static let unusedTime: Int64 = 120_000_000_000
    private static let mostEntries = 4096
    private static let mostWaiting = 64
    private static let mostWaitingInAll = 1024

    private var entries: [NeighbourKey: Entry] = [:]
    private var waitingCount = 0
    /// Counts changes of addresses: what was remembered at another count is not to be believed.
    private(set) var generation: UInt32 = 1
    /// Questions to be sent.
    private(set) var solicitations: [Solicitation] = []
    /// Packets whose next hop did not answer.
    private(set) var unreachable: [WaitingPacket] = []

    enum Answer {
      case address(UInt64)
      /// Asked for: give the packet to `wait`.
      case unknown
      case failed
    }

    /// The next hop's address, or what is done to find it.
    mutating func find(_ key: NeighbourKey, at time: Int64) -> Answer {
      guard var entry = entries[key] else {
        if entries.count >= NeighbourTable.mostEntries { makeRoom(time) }
        guard entries.count < NeighbourTable.mostEntries else { return .failed }
        entries[key] = Entry(since: time, lastUse: time, asked: 1)
        solicitations.append(Solicitation(key: key))
        return .unknown
      }
      entry.lastUse = time
      defer { entries[key] = entry }
      switch entry.state {
      case .incomplete: return .unknown
      case .failed: return .failed
      case .probing: return .address(entry.mac)
      case .reachable:
        if time - entry.since > NeighbourTable.reachableTime {
          entry.state = .probing
          entry.since = time
          entry.asked = 1
          solicitations.append(Solicitation(key: key, known: entry.mac))
        }
        return .address(entry.mac)
      }
    }

    /// Keeps a packet until its next hop is known.
    /// - Returns: false where there is no room: the packet is lost.
    mutating func wait(_ key: NeighbourKey, _ packet: WaitingPacket) -> Bool {
      guard let count = entries[key]?.waiting.count, count < NeighbourTable.mostWaiting,
        waitingCount < NeighbourTable.mostWaitingInAll
      else { return false }
      entries[key]?.waiting.append(packet)
      waitingCount += 1
      return true
    }

    /// Somebody says that this address is theirs.
    /// - Parameters:
    ///   - isAnswer: to a question of ours; then the address is confirmed. Others only change what is
    ///     known.
    ///   - mayAdd: an address not known yet is worth keeping.
    /// - Returns: the packets that waited for it.
    mutating func learn(
      _ key: NeighbourKey, _ mac: UInt64, isAnswer: Bool, mayAdd: Bool, at time: Int64
    ) -> [WaitingPacket] {
      guard var entry = entries[key] else {
        guard mayAdd else { return [] }
        if entries.count >= NeighbourTable.mostEntries { makeRoom(time) }
        guard entries.count < NeighbourTable.mostEntries else { return [] }
        entries[key] = Entry(state: .reachable, mac: mac, since: time, lastUse: time)
        generation &+= 1
        return []
      }
      if entry.mac != mac || entry.state == .incomplete || entry.state == .failed {
        generation &+= 1
      }
      let waiting = entry.waiting
      waitingCount -= waiting.count
      entry.waiting = []
      // Who answers nothing of ours may still have moved: what it says is believed and asked about later.
      if isAnswer || entry.mac != mac || entry.state == .incomplete || entry.state == .failed {
        entry.state = .reachable
        entry.since = time
      }
      entry.mac = mac
      entry.asked = 0
      entries[key] = entry
      return waiting
    }

    /// Asks again, gives up, forgets. To be called about every 100 ms.
    mutating func tick(at time: Int64) {
      for (key, entry) in entries {
        switch entry.state {
        case .incomplete, .probing:
          guard time - entry.since >= NeighbourTable.retransmitTime else { continue }
          if entry.asked < NeighbourTable.questions {
            entries[key]?.asked += 1
            entries[key]?.since = time
            solicitations.append(
              Solicitation(key: key, known: entry.state == .probing ? entry.mac : nil))
          } else {
            unreachable += entry.waiting
            waitingCount -= entry.waiting.count
            entries[key]?.waiting = []
            entries[key]?.state = .failed
            entries[key]?.since = time
            generation &+= 1
          }
        case .failed:
          if time - entry.since >= NeighbourTable.failedTime { entries[key] = nil }
        case .reachable:
          if time - entry.lastUse > NeighbourTable.unusedTime {
            entries[key] = nil
            generation &+= 1
          }
        }
      }
    }

    private mutating func makeRoom(_ time: Int64) {
      guard
        let oldest = entries.filter({ $0.value.waiting.isEmpty }).min(by: {
          $0.value.lastUse < $1.value.lastUse
        })
      else { return }
      entries[oldest.key] = nil
      generation &+= 1
    }

    /// A packet for a next hop that has failed.
    mutating func refuse(_ packet: WaitingPacket) {
      if unreachable.count < NeighbourTable.mostWaiting { unreachable.append(packet) }
    }

    mutating func takeSolicitations() -> [Solicitation] {
      defer { solicitations.removeAll() }
      return solicitations
    }

    mutating func takeUnreachable() -> [WaitingPacket] {
      defer { unreachable.removeAll() }
      return unreachable
    }

    /// The link has gone: nothing is known any more.
    mutating func removeAll() {
      entries.removeAll()
      waitingCount = 0
      generation &+= 1
    }
  }
#endif
