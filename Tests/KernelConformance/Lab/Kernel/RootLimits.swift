// The limits of conntrack that are one number for all namespaces and can only be set in the first: set
// for one case, and set back when it ends, however this process ends.

#if os(Linux)
  import Foundation

  /// Limits that are in force as long as this object lives.
  final class RootLimits {
    /// What a case may set so, in the order in which it is set.
    static let names = [
      "net.netfilter.nf_conntrack_buckets", "net.netfilter.nf_conntrack_max",
      "net.netfilter.nf_conntrack_expect_max",
    ]

    static func isOne(_ sysctl: ConformanceCase.Sysctl) -> Bool { names.contains(sysctl.name) }

    /// Whether this process may set them: only in the namespace that the machine began with.
    static var areSettable: Bool { names.allSatisfy { System.isWritable(path($0)) } }

    private let watchdog: pid_t
    private let leash: Descriptor

    /// Sets limits, when no other laboratory is at work on this machine and until none may begin.
    ///
    /// To set `nf_conntrack_buckets` makes the whole table anew and changes `nf_conntrack_max`, so both are
    /// set back.
    /// - Parameter turn: what keeps other laboratories out; it is theirs again when all is set back.
    init(_ sysctls: [ConformanceCase.Sysctl], turn: LaboratoryTurn) throws {
      let old = try RootLimits.names.map { name in
        "echo \(try String(contentsOfFile: RootLimits.path(name), encoding: .utf8))"
          .trimmingCharacters(in: .newlines) + " >\(RootLimits.path(name))"
      }
      // It outlives this process, ends when nobody holds the other end of its input, and holds the
      // lock until then.
      let script =
        "trap '' INT TERM HUP; while read line; do :; done; " + old.joined(separator: "; ")
      let (given, toGive) = try System.pipe()
      watchdog = try System.spawn(
        ["sh", "-c", script], standard: [given.number, turn.descriptor.number, 2])
      leash = toGive
      for name in RootLimits.names {
        guard let sysctl = sysctls.last(where: { $0.name == name }) else { continue }
        try System.write(sysctl.value, to: RootLimits.path(name))
      }
    }

    deinit {
      leash.close()
      _ = System.wait(watchdog)
    }

    private static func path(_ name: String) -> String {
      "/proc/sys/" + name.replacingOccurrences(of: ".", with: "/")
    }
  }

  /// A laboratory's turn: any number run cases side by side, but one that sets limits for all runs alone.
  package final class LaboratoryTurn {
    let descriptor: Descriptor

    package init(alone: Bool) throws {
      let folder = FileManager.default.temporaryDirectory.path
      // Who wants to be alone keeps others from beginning, and waits for those at work.
      let gate = try System.lockFile("\(folder)/weir-conformance.gate")
      try System.lock(gate, alone: alone)
      descriptor = try System.lockFile("\(folder)/weir-conformance.lock")
      try System.lock(descriptor, alone: alone)
    }
  }
#endif
