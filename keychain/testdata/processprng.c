/* Wine 8 has no bcryptprimitives.dll, and no Go program starts without its one
   function. The test of wine_test.go builds this in its place:

   x86_64-w64-mingw32-gcc -shared -o bcryptprimitives.dll processprng.c -ladvapi32 */

typedef unsigned char BOOLEAN_T;
extern __declspec(dllimport) BOOLEAN_T __stdcall SystemFunction036(void *buffer, unsigned long length);

__declspec(dllexport) int __stdcall ProcessPrng(unsigned char *data, unsigned long long length)
{
	return SystemFunction036(data, (unsigned long)length);
}
