// Fuzz target (b): any bytes as a capture, pcap, pcapng or gzip, read and replayed with its
// transcript.

import Capture
import Conntrack
import HostSnapshot
import Replay
import Ruleset

extension FuzzTarget {
  /// So that one short input (a gzip of nothing but tiny frames) does not hold up the others.
  private static var frameLimit: Int { 512 }

  static func runCapture(_ bytes: [UInt8]) -> UInt64 {
    var session: ReplaySession
    var reader: CaptureReader
    do {
      reader = try CaptureReader(bytes: bytes, name: "fuzz")
    } catch {
      return UInt64(truncatingIfNeeded: "\(error)".utf8.count)
    }
    do {
      var options = ReplayOptions()
      options.fillsTruncated = bytes.last == 1
      session = try ReplaySession(
        ruleset: FuzzHost.ruleset, snapshot: snapshot, settings: FuzzHost.settings(), seed: 1,
        options: options)
    } catch {
      fatalError("\(error)")
    }
    session.firewall.tracker.recordsEvents = true
    let transcript = JSONTranscript()
    var line: [UInt8] = []
    var digest: UInt64 = 0xcbf2_9ce4_8422_2325
    do {
      while let frame = try reader.next() {
        guard frame.number <= frameLimit else { break }
        if frame.capturedLength != reader.frameBytes.byteCount {
          fatalError("\(frame.capturedLength) bytes said, \(reader.frameBytes.byteCount) there")
        }
        let report = session.report(frame, reader.frameBytes, in: reader.interfaces)
        line.removeAll(keepingCapacity: true)
        transcript.append(
          report, table: session.firewall.tracker.connections(), to: &line)
        if line.last != 10 || line.dropLast().contains(10) {
          fatalError("not one line: \(String(decoding: line, as: UTF8.self))")
        }
        for byte in line { digest = (digest ^ UInt64(byte)) &* 0x100_0000_01b3 }
      }
    } catch {
      digest ^= UInt64("\(error)".utf8.count)
    }
    if let cut = reader.cut { digest ^= UInt64("\(cut)".utf8.count) }
    _ = session.finish()
    return digest
  }

  private static let snapshot: HostSnapshot = {
    do {
      var snapshot = try HostSnapshot(localAddresses: [])
      snapshot.configuration = FuzzHost.configuration
      return snapshot
    } catch {
      fatalError("\(error)")
    }
  }()
}
