// What became of one packet, as either side tells it: what is compared.

import Conntrack

/// A packet that came out.
struct Emission: Hashable {
  /// Where; `.host` is a packet the router took for itself.
  var port: Port
  /// Layer 3.
  var bytes: [UInt8]
  /// The router made it. Only Weir tells.
  var isAnswer = false
}

/// One side's answer to one packet.
struct Answer: Hashable {
  /// `NEW/o`, `ESTABLISHED/r`, `INVALID`; `none` where conntrack did not see the packet.
  var ctState = "none"
  /// By port, and within a port in order.
  var emissions: [Emission] = []
  /// What listeners were told, oldest first.
  var events: [ConnectionEvent] = []
  /// Of these, what Weir told since an entry's time was over, before it looked at the packet.
  var expired: [ConnectionEvent] = []
  /// The same of expectations.
  var expectationEvents: [ExpectationEvent] = []
  /// Weir's words for what it did.
  var reason = ""

  /// By port, and within a port by what stands behind the IPv4 header, which numbers them.
  mutating func sortByContent() {
    emissions.sort { $0.bytes.dropFirst(20).lexicographicallyPrecedes($1.bytes.dropFirst(20)) }
    sort()
  }

  mutating func sort() {
    // A stable order: `sort` alone promises none.
    emissions = Port.allCases.flatMap { port in emissions.filter { $0.port == port } }
  }
}
