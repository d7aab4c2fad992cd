// Fuzz target (d): any text as a snapshot's timeout policies. What is accepted must read back the same
// when it is printed, and take the times of every setting it leaves open.

import Conntrack
import HostSnapshot
import Wire

extension FuzzTarget {
  static func runTimeouts(_ bytes: [UInt8]) -> UInt64 {
    let policies: [TimeoutPolicy]
    do {
      policies = try TimeoutsFile.parse(path: "fuzz", bytes: bytes)
    } catch {
      let message = "\(error)"
      if !message.hasPrefix("fuzz:") { fatalError("an error without its place: \(message)") }
      return UInt64(message.utf8.count)
    }
    if Set(policies.map(\.name)).count != policies.count {
      fatalError("two policies of one name")
    }
    let printed = policies.map(FuzzTarget.text).joined()
    do {
      let again = try TimeoutsFile.parse(path: "printed", bytes: Array(printed.utf8))
      if again != policies { fatalError("printed and read again it is another:\n\(printed)") }
    } catch {
      fatalError("what is printed is not accepted: \(error)\n\(printed)")
    }
    for var policy in policies {
      policy.complete(from: ConntrackSettings())
      if Set(policy.timeouts.keys) != Set(policy.stateNames) {
        fatalError("not every state has a time: \(policy)")
      }
    }
    return UInt64(printed.utf8.count)
  }

  /// As `nfct list timeout` prints it.
  private static func text(_ policy: TimeoutPolicy) -> String {
    var text = ".\(policy.name) = {\n\t.l3proto = \(policy.family == .ipv4 ? 2 : 10),\n"
    text += "\t.l4proto = \(policy.protocolNumber),\n\t.policy = {\n"
    for state in policy.stateNames {
      guard let time = policy.timeouts[state] else { continue }
      text += "\t\t.\(state) = \(time / 1_000_000_000),\n"
    }
    return text + "\t},\n};\n"
  }
}
