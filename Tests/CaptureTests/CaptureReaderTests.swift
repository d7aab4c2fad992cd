import Capture
import Testing

@Test func placeholder() {}
