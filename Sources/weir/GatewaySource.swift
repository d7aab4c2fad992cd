// Where a gateway's rules, addresses and routes come from, read anew for each reload: everything is checked
// before any of it is used.

#if os(Linux)
  import Conntrack
  import Firewall
  import Gateway
  import HostSnapshot
  import Ruleset

  struct GatewaySource: Sendable {
    var machine: MachineOptions
    var ports: [PortDescription]
    /// Where the kernel is the router: its queues.
    var queues: QueueNumbers?
    var failsOpen = false
    /// Where the gateway's own programs are.
    var local: LocalDescription?
    var addresses: [AddressDescription]
    var routes: [RouteDescription]

    /// What was read: all that a firewall is made of.
    struct Contents: Sendable {
      var ruleset: Ruleset
      var settings: ConntrackSettings
      var machine: GatewayMachine
      var connections: [Connection]
    }

    /// What flags say that does not hang together.
    func check() throws {
      if queues != nil {
        guard ports.isEmpty, local == nil, addresses.isEmpty, routes.isEmpty else {
          throw Failure.unusable(
            "--port: with nfqueue: the kernel has the ports, addresses and routes; give no others")
        }
        return
      }
      if failsOpen { throw Failure.unusable("--fail-open: is for nfqueue: ports") }
      if ports.isEmpty { throw Failure.unusable("--port: at least one is needed") }
      if ports.count > GatewayPorts.most {
        throw Failure.unusable("--port: at most \(GatewayPorts.most) are possible")
      }
      var names: Set<String> = []
      for port in ports where !names.insert(port.name).inserted {
        throw Failure.unusable("--port: there are two ports `\(port.name)`")
      }
      if let local, ports.contains(where: { $0.device == local.device || $0.name == local.device })
      {
        throw Failure.unusable("--local: there is a port `\(local.device)`")
      }
    }

    /// Whether the machine is this one, as it is at any time.
    var isLive: Bool { queues != nil && machine.host == nil }

    private func snapshot() throws -> HostSnapshot {
      guard queues != nil else { return try machine.snapshot() }
      if !isLive {
        var options = machine
        options.set = LiveMachine.overrides + machine.set
        return try options.snapshot()
      }
      do {
        return try LiveMachine.snapshot(settings: machine.set)
      } catch let error as HostSnapshotError {
        throw Failure.unusable("\(error)")
      }
    }

    func read() throws -> Contents {
      let snapshot = try snapshot()
      for note in snapshot.notes { StandardError.say("weir: \(note)") }
      var gateway = GatewayMachine(ports: ports)
      gateway.addresses = addresses
      gateway.routes = routes
      gateway.base = snapshot.configuration
      gateway.sysctls = snapshot.configuration.sysctls
      return Contents(
        ruleset: try machine.ruleset(snapshot), settings: try machine.settings(snapshot),
        machine: gateway, connections: try machine.connections(snapshot))
    }
  }
#endif
