// The programs of a gateway's `xdp` ports, loaded before the process gives up the right to load any.

#if os(Linux)
  import Glibc
  import Synchronization

  /// One program and its map for each `xdp` port of this process.
  public enum XDPPrograms {
    private static let loaded = Mutex<[PortDescription: XDPProgram]>([:])

    /// Loads what the ports need: with CAP_BPF and CAP_NET_ADMIN. The ports themselves, opened later, need
    /// only what `Privileges.keepNetworkOnly` keeps.
    /// - Returns: whether there are such ports.
    public static func load(for ports: [PortDescription]) throws(SystemError) -> Bool {
      for port in ports where port.kind == .xdp || port.kind == .xdpGeneric {
        let program = try XDPProgram("xdp:\(port.device)")
        loaded.withLock { $0[port] = program }
      }
      return loaded.withLock { !$0.isEmpty }
    }

    static func program(_ port: PortDescription) throws(SystemError) -> XDPProgram {
      guard let program = loaded.withLock({ $0[port] }) else {
        throw SystemError("xdp:\(port.device): its program was not loaded", EPERM)
      }
      return program
    }
  }
#endif
