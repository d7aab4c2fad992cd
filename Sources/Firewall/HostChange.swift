// A host that changes while it is running: addresses that come and go, links that go down, other routes.
// For whoever watches the machine (a gateway, a lab) and tells the firewall.

import Conntrack
import Wire

extension Firewall {
  /// The host is another from now on.
  ///
  /// What MASQUERADE bound to an address that its interface has no longer, or on an interface that has
  /// gone down, is forgotten with its events; everything else stays as it is, SNAT's bindings too.
  /// Packets are routed by the new host's routes from the next on.
  ///
  /// - Parameters:
  ///   - host: interfaces known so far must keep their places; one that is gone is down and has no
  ///     addresses.
  ///   - time: when, nanoseconds.
  /// - Returns: false, and nothing changed, where known interfaces stand at other places.
  /// - Complexity: O(connections) for each address or link that is gone.
  public mutating func hostChanged(to host: HostConfiguration, at time: Int64) -> Bool {
    let old = self.host.interfaces
    guard host.interfaces.count >= old.count,
      zip(old, host.interfaces).allSatisfy({ $0.name == $1.name })
    else { return false }
    advance(to: time)
    forgetWays()
    for interface in host.interfaces { _ = interfaces.register(interface.name) }
    ipv4Rules.learn(interfaces)
    ipv6Rules.learn(interfaces)
    self.host = host
    for (index, before) in old.enumerated() {
      let now = host.interfaces[index]
      if before.flags.contains(.up) && !now.flags.contains(.up) {
        tracker.forgetMasqueraded(on: index, as: nil)
        continue
      }
      let kept = Set(now.addresses.map(\.address))
      for gone in before.addresses where !kept.contains(gone.address) {
        tracker.forgetMasqueraded(on: index, as: (gone.address, gone.family))
      }
    }
    return true
  }
}
