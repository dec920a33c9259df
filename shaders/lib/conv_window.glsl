// How the kernel of a convolution moves over an image, and the sizes of both.
struct ConvWindow {
  int h_in;
  int w_in;
  int h_out;
  int w_out;
  int kernel_h;
  int kernel_w;
  int stride_h;
  int stride_w;
  int padding_h;
  int padding_w;
  int dilation_h;
  int dilation_w;
};
