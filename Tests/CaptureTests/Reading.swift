// How tests read: a whole capture into values that can be compared.

import Capture

/// What reading a capture to its end gave.
struct Reading: Equatable {
  struct Packet: Equatable {
    var frame: CapturedFrame
    var bytes: [UInt8]
  }

  var packets: [Packet] = []
  var interfaces: [CaptureInterface] = []
  var cut: CaptureCut?
  var error: CaptureError?

  init(_ bytes: [UInt8], name: String = "test.pcapng") {
    do throws(CaptureError) {
      var reader = try CaptureReader(bytes: bytes, name: name)
      read(&reader)
    } catch {
      self.error = error
    }
  }

  init(path: String) {
    do throws(CaptureError) {
      var reader = try CaptureReader(path: path)
      read(&reader)
    } catch {
      self.error = error
    }
  }

  private mutating func read(_ reader: inout CaptureReader) {
    do throws(CaptureError) {
      while let frame = try reader.next() {
        packets.append(Packet(frame: frame, bytes: bytes(reader.frameBytes)))
      }
    } catch {
      self.error = error
    }
    cut = reader.cut
    interfaces = reader.interfaces
  }
}

/// The bytes of a span, copied.
func bytes(_ span: RawSpan) -> [UInt8] {
  (0..<span.byteCount).map {
    // Any byte is a valid UInt8; the load checks bounds.
    unsafe span.unsafeLoad(fromByteOffset: $0, as: UInt8.self)
  }
}
