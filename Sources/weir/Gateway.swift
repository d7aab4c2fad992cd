// The running gateway: a worker, and what goes on beside it until it is told to stop.

#if os(Linux)
  import Conntrack
  import Firewall
  import Gateway
  import Logging
  import Ruleset
  import ServiceLifecycle

  struct Gateway: Service {
    private let source: GatewaySource
    private let logger: Logger
    private let worker: Worker

    /// Opens the ports and starts. Packets flow when this returns.
    init(_ source: GatewaySource, _ logger: Logger) throws {
      self.source = source
      self.logger = logger
      let contents = try source.read()
      do {
        var seed = try SystemRandom.seed()
        // Ports that make their interface must be there before it is asked about.
        var interfaces = InterfaceTable()
        for interface in contents.machine.base.interfaces {
          _ = interfaces.register(interface.name)
        }
        var ports = GatewayPorts()
        for port in source.ports {
          try ports.open(port, interface: interfaces.register(port.name))
        }
        let host = try contents.machine.host { LinkInfo($0.device) }
        var firewall = try Firewall(
          ruleset: contents.ruleset, host: host, settings: contents.settings, seed: seed)
        seed = 0
        firewall.tracker.expiry = .swept
        worker = try Worker(firewall, ports: ports)
      } catch let error as MachineTextError {
        throw Failure.unusable("\(error)")
      } catch {
        throw Failure(message: "weir: \(error)", status: 1)
      }
      for port in source.ports {
        logger.info("\(port.name): \(port.kind.rawValue):\(port.device) is open")
      }
    }

    func run() async throws {
      try? await gracefulShutdown()
      logger.info("stopping")
      await worker.stop()
    }
  }
#endif
