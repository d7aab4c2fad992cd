// The ports of a gateway as a person names them, and opening them.

#if os(Linux)
  import Ruleset

  /// `NAME=KIND:DEVICE`, or `KIND:DEVICE` where the port is called as its device.
  public struct PortDescription: Sendable, Hashable {
    public enum Kind: String, Sendable, CaseIterable {
      /// Layer 3; the interface is made if there is none.
      case tun
      /// Ethernet, as a router.
      case packet
      /// The same through AF_XDP: in the driver where that can, before the kernel's stack otherwise.
      case xdp
      /// Before the kernel's stack in any case.
      case xdpGeneric = "xdp-generic"
    }

    /// What rules and routes call it.
    public var name: String
    public var kind: Kind
    public var device: String

    /// - Throws: what is wrong with the text, in words.
    public init(parsing text: String) throws(PortTextError) {
      func refuse(_ what: String) -> PortTextError { PortTextError(text: text, what: what) }
      let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let place = parts.last ?? ""
      let words = place.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      guard words.count == 2, let kind = Kind(rawValue: String(words[0])) else {
        let kinds = Kind.allCases.map { "\($0.rawValue):" }.joined(separator: ", ")
        throw refuse("expected NAME=KIND:DEVICE, where KIND: is one of \(kinds)")
      }
      self.kind = kind
      device = String(words[1])
      name = parts.count == 2 ? String(parts[0]) : device
      for word in [name, device] {
        guard (1...LinkInfo.longestName).contains(word.utf8.count),
          !word.contains(where: { $0.isWhitespace || $0 == "/" })
        else {
          throw refuse(
            "`\(word)` is no interface's name; expected 1 to \(LinkInfo.longestName) characters")
        }
      }
    }
  }

  /// `tun:NAME`: the interface to the programs of the gateway's own machine.
  public struct LocalDescription: Sendable, Hashable {
    public var device: String

    /// - Throws: what is wrong with the text, in words.
    public init(parsing text: String) throws(PortTextError) {
      guard text.hasPrefix("tun:"), !text.contains("=") else {
        throw PortTextError(text: text, what: "expected tun:NAME")
      }
      device = try PortDescription(parsing: text).device
    }
  }

  public struct PortTextError: Error, CustomStringConvertible, Sendable {
    public let text: String
    public let what: String
    public var description: String { "\(text): \(what)" }
  }

  /// Open ports, ready for a worker.
  public struct GatewayPorts: ~Copyable {
    private(set) var ports: [Port] = []
    /// Where the gateway's own programs are, if there are any.
    private(set) var local: TunPort?
    /// The queues of a kernel that is the router itself.
    var queue: QueuePort?
    private(set) var queueSockets: [QueueSocket] = []
    /// What goes out beside them.
    private(set) var raw: RawSender?

    public init() {}

    public static var most: Int { PortSink.mostPorts }

    /// Listens to the kernel's queues.
    /// - Parameter failsOpen: packets that do not fit into a queue pass instead of being dropped.
    public mutating func openQueues(
      _ numbers: QueueNumbers, failsOpen: Bool
    ) throws(SystemError) {
      let opened = try QueuePort.open(numbers, failsOpen: failsOpen)
      queueSockets = opened.sockets
      raw = opened.raw
      queue = consume opened
    }

    /// Opens the interface to the gateway's own programs.
    public mutating func openLocal(_ description: LocalDescription) throws(SystemError) {
      local = try TunPort(
        description.device, device: description.device, interface: .none, isLocal: true)
    }

    /// Opens a port.
    /// - Parameter interface: its number in the firewall that the worker will have.
    public mutating func open(
      _ description: PortDescription, interface: InterfaceID
    ) throws(SystemError) {
      precondition(ports.count < GatewayPorts.most)
      switch description.kind {
      case .tun:
        ports.append(
          .tun(
            try TunPort(
              description.name, device: description.device, interface: interface)))
      case .packet:
        ports.append(
          .packet(
            try PacketPort(
              description.name, device: description.device, interface: interface)))
      case .xdp, .xdpGeneric:
        ports.append(
          .xdp(
            try XDPPort(
              description.name, device: description.device, interface: interface,
              isGeneric: description.kind == .xdpGeneric, XDPPrograms.program(description))))
      }
    }
  }
#endif
