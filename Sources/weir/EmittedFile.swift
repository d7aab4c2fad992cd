// `-w`: the packets that leave, in a capture of their own, to be opened in any other tool.

import Capture
import Replay

/// A pcapng file of raw IP packets, one interface in it for each they leave by.
struct EmittedFile: ~Copyable {
  private var writer: CaptureWriter
  private var interfaces: [String?: Int] = [:]

  init(path: String) throws {
    do {
      writer = try CaptureWriter(path: path)
    } catch {
      throw Failure.unusable("-w \(error)")
    }
  }

  mutating func write(_ report: PacketReport) throws {
    do {
      for emitted in report.emitted {
        let number: Int
        if let known = interfaces[emitted.interface] {
          number = known
        } else {
          // The other number of raw IP: with 101, libpcap takes a second interface for one of
          // another type, and refuses to read on.
          number = try writer.addInterface(name: emitted.interface, linkType: LinkType.rawBSD)
          interfaces[emitted.interface] = number
        }
        try writer.write(
          emitted.packet.bytes.rawSpan, interface: number,
          timeNanoseconds: report.timeNanoseconds, direction: .outbound)
      }
    } catch {
      throw Failure(message: "-w \(error)", status: 1)
    }
  }

  consuming func close() throws {
    do {
      try writer.close()
    } catch {
      throw Failure(message: "-w \(error)", status: 1)
    }
  }
}
